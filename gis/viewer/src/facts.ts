/** What the crew must know of each valve, and how an answer differs from the one before. */

import { readItem, type AnswerFeatures, type BurstAnswer, type DoorPlate } from "./api.ts";
import { layerOf, valueText, type Catalog } from "./catalog.ts";
import { splitId } from "./features.ts";
import { t } from "./text.ts";

export interface ValveFacts {
  id: string;
  where: string;
  operable: boolean;
  accessible: boolean;
  remote: boolean;
  turns: number | null;
  diameter: number | null;
}

const READ_AT_ONCE = 60;

/** The id in an answer's feature: features of network layers may carry `network:id`. */
export function ownId(id: unknown, network: string): string {
  const text = String(id ?? "");
  return text.startsWith(`${network}:`) ? splitId(text).id : text;
}

function factsFrom(id: string, properties: Record<string, any>): ValveFacts {
  return {
    id,
    where: [properties.address, properties.road_name].filter(Boolean)[0] ?? "",
    operable: properties.operable !== false,
    accessible: properties.accessible !== false,
    remote: properties.remote === true,
    turns: properties.turns ?? null,
    diameter: properties.diameter_mm ?? null,
  };
}

/** Facts of these valves: from the answer's features where they are told there, else read from the layer. */
export async function readValves(
  network: string,
  ids: string[],
  features: AnswerFeatures | undefined,
  known: Map<string, ValveFacts>,
  signal: AbortSignal,
): Promise<void> {
  for (const feature of features?.features ?? []) {
    const { properties } = feature;
    if (properties.layer === "water_valve" && "operable" in properties) {
      const id = ownId(properties.id, network);
      known.set(id, factsFrom(id, properties));
    }
  }
  const missing = ids.filter((id) => !known.has(id)).slice(0, READ_AT_ONCE);
  await Promise.all(
    missing.map(async (id) => {
      try {
        const item = await readItem("water_valve", `${network}:${id}`, signal);
        known.set(id, factsFrom(id, item.properties));
      } catch {
        // A valve whose attributes cannot be read is still to be closed: its id stays in the list.
      }
    }),
  );
}

/** The short notes on a valve: how it is worked, and what is against it. */
export function valveNotes(facts: ValveFacts | undefined): Array<{ text: string; bad: boolean }> {
  if (!facts) return [];
  return [
    !facts.operable && { text: t("inoperable"), bad: true },
    !facts.accessible && { text: t("inaccessible"), bad: true },
    facts.remote && { text: t("remote"), bad: false },
    facts.diameter && { text: `DN${facts.diameter}`, bad: false },
    facts.turns && { text: t("turns", facts.turns), bad: false },
  ].filter((note): note is { text: string; bad: boolean } => !!note);
}

export interface Difference {
  valves: string[];
  pipes: number;
  customers: number;
}

/** What `after` asks beyond `before`: further valves to close, pipes and customers without water. */
export function difference(before: BurstAnswer, after: BurstAnswer): Difference {
  const had = new Set(before.valves.close);
  const pipes = new Set(before.affected.pipes);
  return {
    valves: after.valves.close.filter((id) => !had.has(id)),
    pipes: after.affected.pipes.filter((id) => !pipes.has(id)).length,
    customers: after.affected.customers - before.affected.customers,
  };
}

const NAMED_AT_ONCE = 40;

/** Priority users by connection in words: the building, and whom to call where the caller may see it. */
export async function readNames(answer: BurstAnswer, known: Map<string, string>, signal: AbortSignal): Promise<void> {
  const unknown = (answer.affected.priority ?? []).filter((user) => !known.has(user.connection)).slice(0, NAMED_AT_ONCE);
  const read = async (layer: string, id: string): Promise<Record<string, unknown>> => {
    try {
      return (await readItem(layer, id, signal)).properties;
    } catch {
      return {}; // Without it the connection's id stands in the list.
    }
  };
  const nothing: Record<string, unknown> = {};
  await Promise.all(
    unknown.map(async ({ connection, building }) => {
      const [customer, house] = await Promise.all([read("water_connection", `${answer.network}:${connection}`), building ? read("building", building) : nothing]);
      const parts = [house.name ?? house.address, customer.customer_name, customer.phone];
      known.set(connection, parts.filter(Boolean).join(" "));
    }),
  );
}

/** The priority users of an answer, each with what it is and how it is called. */
export function priorityLines(catalog: Catalog, answer: BurstAnswer, names: Map<string, string>): Array<{ kind: string; name: string }> {
  const field = layerOf(catalog, "water_connection")?.fields?.find((one) => one.name === "priority");
  return (answer.affected.priority ?? []).map((user) => {
    const name = names.get(user.connection) || `${t("connection")} ${user.connection}`;
    return { kind: valueText(field, user.priority), name: user.customers > 1 ? `${name} · ${t("nCustomers", user.customers)}` : name };
  });
}

/** Door-plates with their addresses; where only ids are told, these. */
export function plates(answer: BurstAnswer): DoorPlate[] {
  return answer.doorplate_list ?? (answer.affected.doorplates ?? []).map((id) => ({ id }));
}
