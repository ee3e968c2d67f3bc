/** The page of a burst's answer: first what to do, then who loses water, then the rest. */

import type { BurstAnswer, Finding } from "./api.ts";
import type { App } from "./app.ts";
import { figures, folded, idList, lengthText, plateList, section, strip } from "./blocks.ts";
import { button, h, icon, type Child } from "./dom.ts";
import { plates, priorityLines, valveNotes, type Difference, type ValveFacts } from "./facts.ts";
import { COLOURS } from "./overlay.ts";
import { count, t, titleOf } from "./text.ts";

export interface BurstState {
  answer: BurstAnswer;
  valves: Map<string, ValveFacts>;
  names: Map<string, string>;
  stuck: string[];
  added?: Difference & { valve: string };
  highlighted: string | null;
  look(valve: string): void;
  markStuck(valve: string): void;
  undoStuck(valve: string): void;
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
    state.added && stuckStrip(state),
    priority(app, state),
    closeList(state),
    stuckList(state),
    numbers(answer),
    legend(answer),
    plateList(plates(answer), file),
    feeds(state),
    others(state),
    h("p", { class: "muted small" }, t("dataVersion", answer.data_version ?? "–", (answer.seconds ?? 0).toFixed(2))),
  ];
}

function verdict({ answer }: BurstState): HTMLElement {
  if (answer.isolated) {
    const n = answer.valves.close.length;
    return h("p", { class: "verdict" }, n ? t("toCloseN", n) : t("toCloseNone"));
  }
  return strip("danger", h("strong", {}, t("cannotIsolate")), answer.sources_to_shut.length > 0 && h("div", {}, t("sourcesToShut", answer.sources_to_shut.join("、"))));
}

function stuckStrip({ added }: BurstState): HTMLElement {
  const { valve, valves, pipes, customers } = added!;
  const parts = [
    valves.length && t("addValves", valves.length),
    pipes > 0 && t("addPipes", count(pipes)),
    customers > 0 && t("addCustomers", count(customers)),
  ].filter(Boolean) as string[];
  return strip("warning", h("strong", {}, t("stuckAdded", valve)), h("div", {}, parts.length ? parts.join(" · ") : t("stuckSame")));
}

function priority(app: App, { answer, names }: BurstState): HTMLElement | null {
  const lines = priorityLines(app.catalog(), answer, names);
  if (!lines.length) return null;
  const rows = lines.map(({ kind, name }) => h("li", {}, kind && h("b", {}, kind), " ", name));
  return h("section", { class: "block priority" }, h("h3", {}, icon("warning"), t("priorityFirst"), h("span", { class: "badge" }, lines.length)), h("ul", {}, ...rows));
}

function notes(facts: ValveFacts | undefined): HTMLElement {
  return h("span", { class: "notes" }, ...valveNotes(facts).map((note) => h("span", { class: note.bad ? "chip bad" : "chip" }, note.text)));
}

function valveText(id: string, facts: ValveFacts | undefined): HTMLElement {
  return h("span", { class: "valve-text" }, h("span", { class: "where" }, facts?.where || id), h("span", { class: "valve-id" }, facts?.where ? id : ""), notes(facts));
}

function closeList(state: BurstState): HTMLElement | null {
  const { answer, added } = state;
  if (!answer.valves.close.length) return null;
  const fresh = new Set(added?.valves);
  const rows = answer.valves.close.map((id, i) =>
    h(
      "li",
      { class: `valve ${state.highlighted === id ? "highlighted" : ""} ${fresh.has(id) ? "fresh" : ""}`, "data-valve": id },
      h("button", { type: "button", class: "valve-main", title: t("locate"), click: () => state.look(id) }, h("span", { class: "number" }, i + 1), valveText(id, state.valves.get(id)), fresh.has(id) && h("span", { class: "chip new" }, t("added"))),
      h("button", { type: "button", class: "stuck", click: () => state.markStuck(id) }, t("stuckButton")),
    ),
  );
  return section(t("closeInOrder"), h("ol", { class: "valves" }, ...rows));
}

function stuckList(state: BurstState): HTMLElement | null {
  const ids = state.answer.valves.stuck;
  if (!ids.length) return null;
  const rows = ids.map((id) =>
    h(
      "li",
      { class: "valve", "data-stuck": id },
      h("button", { type: "button", class: "valve-main", title: t("locate"), click: () => state.look(id) }, h("span", { class: "number purple" }, "×"), valveText(id, state.valves.get(id))),
      state.stuck.includes(id) && button({ class: "undo", click: () => state.undoStuck(id) }, "back", t("undoStuck")),
    ),
  );
  return section(t("stuckList"), h("ul", { class: "valves" }, ...rows));
}

function numbers({ affected }: BurstAnswer): HTMLElement {
  const entries: Array<[string, string, string]> = [
    [t("customers"), count(affected.customers), "customers"],
    [t("doorplates"), count(affected.doorplates?.length), "doorplates"],
    [t("length"), lengthText(affected.length_m), "length"],
    [t("pipes"), count(affected.pipes.length), "pipes"],
    [t("hydrants"), count(affected.hydrants?.length), "hydrants"],
  ];
  if (affected.volume_m3 !== undefined && affected.volume_m3 !== null) entries.splice(4, 0, [t("volume"), `${affected.volume_m3 < 10 ? affected.volume_m3.toFixed(1) : count(affected.volume_m3)} ${t("cubicMetres")}`, "volume"]);
  return section(t("whoLoses"), figures(entries));
}

function legend({ unintended, affected }: BurstAnswer): HTMLElement {
  const row = (colour: string, name: string, text: string, dashed = false): HTMLElement =>
    h("li", {}, h("span", { class: dashed ? "stroke dashed" : "stroke", style: `--stroke:${colour}` }), h("span", {}, name), h("span", { class: "muted" }, text));
  const cut = unintended.pipes.length;
  return h(
    "ul",
    { class: "legend" },
    row(COLOURS.closed, t("closedPart"), t("nPipes", count(affected.pipes.length - cut))),
    cut > 0 && row(COLOURS.cut_off, t("cutOffPart"), `${t("nPipes", count(cut))} · ${t("nCustomers", count(unintended.customers))}`, true),
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

function others(state: BurstState): HTMLElement {
  const { valves, affected } = state.answer;
  const hydrants = affected.hydrants ?? [];
  return h(
    "div",
    {},
    folded(t("alreadyClosed"), valves.already_closed.length, "already_closed", named(state, valves.already_closed)),
    folded(t("optional"), valves.optional.length, "optional", named(state, valves.optional)),
    folded(t("hydrants"), hydrants.length, "hydrants", idList(hydrants)),
    dataNotes(state.answer.findings ?? []),
  );
}

function dataNotes(findings: Finding[]): HTMLElement | null {
  const rows = findings.map((one) => h("li", {}, h("b", {}, `${one.code} (${one.n}) `), titleOf({ zh: one.message_zh, en: one.message }), idList(one.ids)));
  return folded(t("dataNotes"), findings.length, "findings", h("ul", { class: "data-notes" }, ...rows));
}
