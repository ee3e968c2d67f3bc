/** What the crew must know of each valve, and how an answer differs from the one before. */

import { readItems, type Item } from "./api.ts";
import type { BurstAnswer, DoorPlate, PriorityUser } from "./answers.ts";
import { layerOf, valueText, type Catalog } from "./catalog.ts";
import { splitId } from "./features.ts";
import { t } from "./text.ts";

export interface ValveFacts {
  id: string;
  where: string;
  /** Closed now: as reported, else as it normally is. */
  closed: boolean;
  operable: boolean;
  accessible: boolean;
  remote: boolean;
  turns: number | null;
  diameter: number | null;
}

const READ_AT_ONCE = 100;

/** The id in an answer's feature: features of network layers may carry `network:id`. */
export function ownId(id: unknown, network: string): string {
  const text = String(id ?? "");
  return text.startsWith(`${network}:`) ? splitId(text).id : text;
}

/** A valve's facts from the attributes of its layer. */
export function factsFrom(id: string, properties: Record<string, any>): ValveFacts {
  return {
    id,
    where: [properties.address, properties.road_name].filter(Boolean)[0] ?? "",
    closed: (properties.live_status ?? properties.normal_status) === "closed",
    operable: properties.operable !== false,
    accessible: properties.accessible !== false,
    remote: properties.remote === true,
    turns: properties.turns ?? null,
    diameter: properties.diameter_mm ?? null,
  };
}

/** Read the facts of those of these valves that are not known yet. Without them a valve is still to be closed: its id is in the list. */
export async function readValves(network: string, ids: string[], known: Map<string, ValveFacts>, signal?: AbortSignal): Promise<void> {
  const missing = [...new Set(ids)].filter((id) => !known.has(id)).slice(0, READ_AT_ONCE);
  for (const { properties } of await readItems("water_valve", network, "valve_id", missing, signal).catch(() => [])) {
    const id = String(properties.valve_id);
    known.set(id, factsFrom(id, properties));
  }
}

/** The short notes on a valve: how it is worked, and what is against it. */
export function valveNotes(facts: ValveFacts | undefined): Array<{ text: string; bad: boolean }> {
  if (!facts) return [];
  return [
    facts.closed && { text: t("closedNow"), bad: false },
    !facts.operable && { text: t("inoperable"), bad: true },
    !facts.accessible && { text: t("inaccessible"), bad: true },
    facts.remote && { text: t("remote"), bad: false },
    facts.diameter && { text: `DN${facts.diameter}`, bad: false },
    facts.turns && { text: t("turns", facts.turns), bad: false },
  ].filter((note): note is { text: string; bad: boolean } => !!note);
}

const NAMED_AT_ONCE = 60;

/** Priority users by connection in words: the building, and whom to call where the caller may see it. */
export async function readNames(network: string, users: PriorityUser[], known: Map<string, string>, signal?: AbortSignal): Promise<void> {
  const unknown = users.filter((user) => !known.has(user.connection)).slice(0, NAMED_AT_ONCE);
  const houses = unknown.map((user) => user.building).filter((id): id is string => !!id);
  // Without names the connection's id stands in the list.
  const [customers, buildings] = await Promise.all([
    readItems("water_connection", network, "connection_id", unknown.map((user) => user.connection), signal).catch(() => []),
    readItems("building", null, "building_id", [...new Set(houses)], signal).catch(() => []),
  ]);
  const find = (items: Item[], key: string, id: unknown): Record<string, unknown> => items.find((item) => item.properties[key] === id)?.properties ?? {};
  for (const { connection, building } of unknown) {
    const customer = find(customers, "connection_id", connection);
    const house = find(buildings, "building_id", building);
    known.set(connection, [house.name ?? house.address, customer.customer_name, customer.phone].filter(Boolean).join(" "));
  }
}

/** The priority users of an answer, each with what it is and how it is called. */
export function priorityLines(catalog: Catalog, users: PriorityUser[], names: Map<string, string>): Array<{ kind: string; name: string }> {
  const field = layerOf(catalog, "water_connection")?.fields?.find((one) => one.name === "priority");
  return users.map((user) => {
    const name = names.get(user.connection) || `${t("connection")} ${user.connection}`;
    return { kind: valueText(field, user.priority), name: user.customers > 1 ? `${name} · ${t("nCustomers", user.customers)}` : name };
  });
}

/** Door-plates with their addresses; where only ids are told, these. */
export function plates(answer: BurstAnswer): DoorPlate[] {
  return answer.doorplate_list ?? (answer.affected.doorplates ?? []).map((id) => ({ id }));
}
