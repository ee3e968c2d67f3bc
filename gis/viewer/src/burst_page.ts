/** The page of a burst's answer: first what to do, then who loses water, then the rest. */

import type { BurstAnswer, IfStuck, Spot } from "./answers.ts";
import type { App } from "./app.ts";
import { dataNotes, figures, folded, idList, legendRow, lengthText, plateList, section, strip } from "./blocks.ts";
import { layerOf, valueText } from "./catalog.ts";
import { button, h, icon, type Child } from "./dom.ts";
import { plates, priorityLines, valveNotes, type ValveFacts } from "./facts.ts";
import { networkTitle } from "./networks.ts";
import { COLOURS } from "./overlay_layers.ts";
import { count, t } from "./text.ts";

export interface BurstState {
  answer: BurstAnswer;
  valves: Map<string, ValveFacts>;
  names: Map<string, string>;
  stuck: string[];
  /** Door-plates that only the stuck valves leave without water. */
  freshPlates: Set<string>;
  highlighted: string | null;
  look(id: string, layer?: string): void;
  goTo(at: [number, number]): void;
  markStuck(valve: string): void;
  undoStuck(valve: string): void;
  report(valve: string): void;
  steps: Array<{ icon: string; text: string; open: () => void }>;
}

export function burstTitle(answer: BurstAnswer): string {
  return `${t("burst")} · ${burstPlace(answer)}`;
}

/** What burst, in words: “Pipe P-17”. */
export function burstPlace({ burst }: BurstAnswer): string {
  if (burst.connection) return `${t("connection")} ${burst.connection}`;
  if (burst.pipe) return `${t("pipe")} ${burst.pipe}`;
  if (burst.valve) return `${t("valve")} ${burst.valve}`;
  return burst.node ? `${t("node")} ${burst.node}` : "";
}

export function burstPage(app: App, state: BurstState): Child[] {
  const { answer } = state;
  const file = `${t("doorplates")}_${burstPlace(answer).replace(/\s+/g, "_")}.csv`;
  return [
    verdict(state),
    state.stuck.length > 0 && stuckStrip(state),
    closeList(state),
    stuckList(app, state),
    priority(app, state),
    steps(state),
    numbers(answer),
    legend(answer),
    plateList(plates(answer), file, state.freshPlates),
    feeds(state),
    drain(app, state),
    others(state),
    footnote(app, answer),
  ];
}

function footnote(app: App, { network, data_version, as_of, seconds }: BurstAnswer): HTMLElement {
  const of = app.networks.several || network !== "city" ? `${t("network")} ${networkTitle(network)} · ` : "";
  return h("p", { class: "muted small" }, of, as_of && `${t("asOfDay", as_of)} · `, t("dataVersion", data_version ?? "–", (seconds ?? 0).toFixed(2)));
}

function verdict({ answer }: BurstState): HTMLElement {
  if (answer.isolated) {
    const n = answer.valves.close.length;
    return h("p", { class: "verdict" }, n ? t("toCloseN", n) : t("toCloseNone"));
  }
  return strip("danger", h("strong", {}, t("cannotIsolate")), answer.sources_to_shut.length > 0 && h("div", {}, t("sourcesToShut", answer.sources_to_shut.join("、"))));
}

/** What more valves, pipes and customers mean, in words; empty where nothing is added. */
function more(valves: number, pipes: number, customers: number): string {
  return [valves > 0 && t("addValves", valves), pipes > 0 && t("addPipes", count(pipes)), customers > 0 && t("addCustomers", count(customers))].filter(Boolean).join(" · ");
}

function stuckStrip({ answer, stuck }: BurstState): HTMLElement {
  const { valves = [], pipes = [], customers = 0 } = answer.added ?? {};
  return strip("warning", h("strong", {}, t("stuckAdded", stuck.join("、"))), h("div", {}, more(valves.length, pipes.length, customers) || t("stuckSame")));
}

function priority(app: App, { answer, names }: BurstState): HTMLElement | null {
  const lines = priorityLines(app.catalog(), answer.affected.priority ?? [], names);
  if (!lines.length) return null;
  return priorityBlock(lines);
}

const FIRST = 3;

/** Whom to tell first. The first few are read at a glance; the others are folded, so that the valves stay in sight. */
export function priorityBlock(lines: Array<{ kind: string; name: string }>): HTMLElement {
  const rows = lines.map(({ kind, name }) => h("li", {}, kind && h("b", {}, kind), " ", name));
  const rest = rows.slice(FIRST);
  return h(
    "section",
    { class: "block priority" },
    h("h3", {}, icon("warning"), t("priorityFirst"), h("span", { class: "badge" }, lines.length)),
    h("ul", {}, ...rows.slice(0, FIRST)),
    rest.length > 0 && h("details", {}, h("summary", {}, t("andMore", rest.length)), h("ul", {}, ...rest)),
  );
}

function notes(facts: ValveFacts | undefined): HTMLElement {
  return h("span", { class: "notes" }, ...valveNotes(facts).map((note) => h("span", { class: note.bad ? "chip bad" : "chip" }, note.text)));
}

/** A valve in a list: where it is, its id, what is known of it, and what its failure would add. */
export function valveText(id: string, facts: ValveFacts | undefined, failure?: IfStuck): HTMLElement {
  const named = facts?.where;
  return h("span", { class: "valve-text" }, h("span", { class: "where" }, named || id), h("span", { class: "valve-id" }, named ? id : ""), notes(facts), failure && ifStuck(failure));
}

/** N-1: what comes on top if this valve does not turn. */
function ifStuck({ close_added, pipes_added, customers_added, isolated }: IfStuck): HTMLElement {
  if (!isolated) return h("span", { class: "if-stuck bad" }, t("ifStuck"), t("ifStuckNever"));
  const added = more(close_added.length, pipes_added.length, customers_added);
  return h("span", { class: customers_added > 0 ? "if-stuck bad" : "if-stuck" }, t("ifStuck"), added || t("stuckSame"));
}

function closeList(state: BurstState): HTMLElement | null {
  const { answer } = state;
  if (!answer.valves.close.length) return null;
  const fresh = new Set(answer.added?.valves);
  const failures = new Map((answer.if_stuck ?? []).map((one) => [one.valve, one]));
  const rows = answer.valves.close.map((id, i) =>
    h(
      "li",
      { class: `valve ${state.highlighted === id ? "highlighted" : ""} ${fresh.has(id) ? "fresh" : ""}`, "data-valve": id },
      h("button", { type: "button", class: "valve-main", "data-key": `valve-${id}`, title: t("locate"), click: () => state.look(id) }, h("span", { class: "number" }, i + 1), valveText(id, state.valves.get(id), failures.get(id)), fresh.has(id) && h("span", { class: "chip new" }, t("added"))),
      h("button", { type: "button", class: "stuck", click: () => state.markStuck(id) }, t("stuckButton")),
    ),
  );
  return section(t("closeInOrder"), h("ol", { class: "valves" }, ...rows));
}

function stuckList(app: App, state: BurstState): HTMLElement | null {
  const ids = state.answer.valves.stuck;
  if (!ids.length) return null;
  const report = (id: string): Child =>
    app.may("valve-state") && state.valves.get(id)?.operable && button({ class: "link report", click: () => state.report(id) }, "valve", t("valveReportThis"));
  const rows = ids.map((id) =>
    h(
      "li",
      { class: "valve", "data-stuck": id },
      h("div", { class: "valve-column" }, h("button", { type: "button", class: "valve-main", title: t("locate"), click: () => state.look(id) }, h("span", { class: "number purple" }, "×"), valveText(id, state.valves.get(id))), report(id)),
      state.stuck.includes(id) && button({ class: "undo", click: () => state.undoStuck(id) }, "back", t("undoStuck")),
    ),
  );
  return section(t("stuckList"), h("ul", { class: "valves" }, ...rows));
}

function steps(state: BurstState): HTMLElement | null {
  if (!state.steps.length) return null;
  return section(t("nextSteps"), h("div", { class: "steps" }, ...state.steps.map((step) => button({ class: "step", "data-step": step.icon, "data-key": `step-${step.icon}`, click: step.open }, step.icon, step.text))));
}

function cubic(volume: number): string {
  return `${volume < 10 ? volume.toFixed(1) : count(volume)} ${t("cubicMetres")}`;
}

function numbers({ affected, unintended }: BurstAnswer): HTMLElement {
  const entries: Array<[string, string, string]> = [
    [t("customers"), count(affected.customers), "customers"],
    [t("doorplates"), count(affected.doorplates?.length), "doorplates"],
    [t("length"), lengthText(affected.length_m), "length"],
    [t("pipes"), count(affected.pipes.length), "pipes"],
    [t("hydrants"), count(affected.hydrants?.length), "hydrants"],
    [t("unintended"), t("nCustomers", count(unintended.customers)), "unintended"],
  ];
  return section(t("whoLoses"), figures(entries));
}

function legend({ unintended, also_cut, affected, added, valves }: BurstAnswer): HTMLElement {
  const cut = unintended.pipes.length;
  const beside = also_cut?.pipes.length ?? 0;
  return h(
    "ul",
    { class: "legend" },
    affected.pipes.length > cut && legendRow(COLOURS.closed, t("closedPart"), t("nPipes", count(affected.pipes.length - cut))),
    cut > 0 && legendRow(COLOURS.cut_off, t("cutOffPart"), `${t("nPipes", count(cut))} · ${t("nCustomers", count(unintended.customers))}`, "dashed"),
    beside > 0 && legendRow(COLOURS.cut_off, t("alsoCut"), `${t("nPipes", count(beside))} · ${t("nCustomers", count(also_cut!.customers))}`, "dashed"),
    (added?.pipes.length ?? 0) > 0 && legendRow(COLOURS.valve_stuck, t("addedPart"), t("nPipes", count(added!.pipes.length))),
    valves.optional.length > 0 && legendRow(COLOURS.valve_optional, t("optional"), "", "disc"),
    valves.already_closed.length > 0 && legendRow(COLOURS.valve_already_closed, t("alreadyClosed"), "", "disc"),
  );
}

function named(state: BurstState, ids: string[]): HTMLElement {
  const rows = ids.map((id) => h("li", {}, h("button", { type: "button", class: "valve-main", title: t("locate"), click: () => state.look(id) }, valveText(id, state.valves.get(id)))));
  return h("ul", { class: "valves plain" }, ...rows);
}

function feeds(state: BurstState): HTMLElement | null {
  const ids = state.answer.feeds_to_open;
  return ids.length ? h("section", { class: "block good" }, h("h3", {}, t("feedsToOpen"), h("span", { class: "badge" }, ids.length)), named(state, ids)) : null;
}

/** How the closed part is emptied: how much, where it is lowest, at which washouts and hydrants. */
function drain(app: App, state: BurstState): HTMLElement | null {
  const { drain: found } = state.answer;
  if (!found || !(found.volume_m3 > 0 || found.lowest.length)) return null;
  const row = (name: string, level: number | null, spot: Spot): HTMLElement => {
    const placed = typeof spot.lon === "number" && typeof spot.lat === "number";
    const text = [h("span", { class: "where" }, name), h("span", { class: "level" }, level === null ? "" : `${level.toFixed(2)} ${t("metres")}`)];
    return h("li", {}, h("button", { type: "button", class: "valve-main", disabled: !placed, title: t("locate"), click: () => state.goTo([spot.lon!, spot.lat!]) }, ...text));
  };
  const kind = layerOf(app.catalog(), "hydrant")?.fields?.find((field) => field.name === "kind");
  const outlets = found.hydrants.map((one) => row([one.hydrant, valueText(kind, one.kind)].filter(Boolean).join(" · "), one.level_m, one));
  const lowest = found.lowest.map((one) => row(one.node, one.level_m, one));
  return h(
    "details",
    { class: "block", "data-block": "drain" },
    h("summary", {}, h("h3", {}, t("drain")), h("span", { class: "badge" }, cubic(found.volume_m3)), icon("chevron")),
    outlets.length > 0 ? h("div", {}, h("h4", {}, t("drainHydrants")), h("ul", { class: "valves plain" }, ...outlets)) : h("p", { class: "muted" }, t("drainNoHydrant")),
    lowest.length > 0 && h("div", {}, h("h4", {}, t("drainLowest")), h("ul", { class: "valves plain" }, ...lowest)),
  );
}

function others(state: BurstState): HTMLElement {
  const { valves, affected } = state.answer;
  const hydrants = affected.hydrants ?? [];
  return h(
    "div",
    {},
    folded(t("alreadyClosed"), valves.already_closed.length, "already_closed", named(state, valves.already_closed)),
    folded(t("optional"), valves.optional.length, "optional", named(state, valves.optional)),
    folded(t("hydrants"), hydrants.length, "hydrants", idList(hydrants, (id) => state.look(id, "hydrant"))),
    dataNotes(state.answer.findings ?? []),
  );
}
