/** Building blocks of an answer's page: numbers, lists of door-plates, lists of ids. */

import type { DoorPlate, Finding } from "./answers.ts";
import { csv, download } from "./csv.ts";
import { button, h, icon, replace, type Child } from "./dom.ts";
import { count, t, titleOf } from "./text.ts";

/** Metres for short lengths, kilometres for long ones. */
export function lengthText(metres: number): string {
  return metres < 1000 ? `${count(metres)} ${t("metres")}` : `${(metres / 1000).toFixed(2)} ${t("kilometres")}`;
}

/** Large numbers with their names. */
export function figures(entries: Array<[name: string, value: string, key: string]>): HTMLElement {
  return h("dl", { class: "figures" }, ...entries.map(([name, value, key]) => h("div", { "data-figure": key }, h("dt", {}, name), h("dd", {}, value))));
}

export function section(title: string, ...children: Child[]): HTMLElement {
  return h("section", { class: "block" }, h("h3", {}, title), ...children);
}

/** A part that is folded until wanted. */
export function folded(title: string, n: number, key: string, ...children: Child[]): HTMLElement | null {
  if (!n) return null;
  return h("details", { class: "block", "data-block": key }, h("summary", {}, h("h3", {}, title), h("span", { class: "badge" }, count(n)), icon("chevron")), ...children);
}

const FIRST = 30;

/** Door-plates by their community, in the order of their addresses. */
export function byCommunity(list: DoorPlate[]): Array<[community: string, plates: DoorPlate[]]> {
  const found = new Map<string, DoorPlate[]>();
  for (const plate of list) {
    const community = plate.community ?? "";
    if (!found.has(community)) found.set(community, []);
    found.get(community)!.push(plate);
  }
  const order = new Intl.Collator("zh-CN", { numeric: true }).compare;
  for (const plates of found.values()) plates.sort((a, b) => order(a.address ?? a.id, b.address ?? b.id));
  // Those of no community are the last.
  return [...found].sort(([a], [b]) => Number(!a) - Number(!b) || order(a, b));
}

/** The door-plates by community: the first ones, a search among them, all on demand, and the list as a file. `fresh` are marked as new. */
export function plateList(list: DoorPlate[], fileName: string, fresh: Set<string> = new Set()): HTMLElement | null {
  if (!list.length) return null;
  let all = false;
  const groups = byCommunity(list);
  const rows = h("div", { class: "plates" });
  const more = button({ class: "link", click: () => ((all = true), draw()) }, null);
  const find = h("input", { type: "search", class: "find", placeholder: t("filterPlates", count(list.length)), "aria-label": t("search"), input: () => draw() });
  const row = (plate: DoorPlate): HTMLElement => h("li", { title: plate.id }, plate.address || plate.id, fresh.has(plate.id) && h("span", { class: "chip new" }, t("added")));
  const draw = (): void => {
    const text = find.value.trim().toLowerCase();
    const fits = (plate: DoorPlate): boolean => !text || `${plate.id} ${plate.community ?? ""} ${plate.address ?? ""}`.toLowerCase().includes(text);
    const found = groups.map(([name, plates]) => [name, plates.filter(fits)] as const).filter(([, plates]) => plates.length);
    const total = found.reduce((sum, [, plates]) => sum + plates.length, 0);
    let left = all ? total : FIRST;
    const shown: HTMLElement[] = [];
    for (const [name, plates] of found) {
      if (left <= 0) break;
      shown.push(h("h4", {}, name || t("noCommunity"), h("span", { class: "muted" }, t("nPlates", count(plates.length)))), h("ul", {}, ...plates.slice(0, left).map(row)));
      left -= plates.length;
    }
    replace(rows, ...shown);
    more.textContent = t("showAll", count(total));
    more.hidden = all || total <= FIRST;
  };
  draw();
  const lines = groups.flatMap(([name, plates]) => plates.map((plate) => [name, plate.id, plate.address ?? ""]));
  const save = (): void => download(fileName, csv([[t("community"), t("id"), t("address")], ...lines]));
  const body = h("div", {}, list.length > FIRST && find, rows, more);
  return folded(t("doorplates"), list.length, "doorplates", button({ class: "link", click: save }, "download", t("downloadCsv")), body);
}

/** Ids as small labels. */
export function idList(ids: string[], look?: (id: string) => void): HTMLElement {
  return h(
    "ul",
    { class: "ids" },
    ...ids.map((id) => h("li", {}, look ? h("button", { type: "button", class: "id", title: t("locate"), click: () => look(id) }, id) : id)),
  );
}

/** A strip that stands out: a warning or a piece of good news. */
export function strip(tone: "danger" | "warning" | "info" | "good", ...children: Child[]): HTMLElement {
  return h("div", { class: `strip ${tone}`, role: tone === "danger" ? "alert" : null }, (tone === "danger" || tone === "warning") && icon("warning"), h("div", {}, ...children));
}

/** That something is being worked out; after a few seconds, that it takes longer than usual. */
export function working(): HTMLElement {
  return h("div", { class: "working", role: "status" }, h("span", { class: "spinner" }), h("div", {}, t("computing"), h("div", { class: "slow small" }, t("stillComputing"))));
}

/** What an answer rests on that the data do not say. */
export function dataNotes(findings: Finding[]): HTMLElement | null {
  const rows = findings.map((one) => h("li", {}, h("b", {}, `${one.code} (${one.n}) `), titleOf({ zh: one.message_zh, en: one.message }), idList(one.ids)));
  return folded(t("dataNotes"), findings.length, "findings", h("ul", { class: "data-notes" }, ...rows));
}

/** One line of a legend: a stroke or a disc of this colour, its name, and what is told of it. */
export function legendRow(colour: string, name: string, text = "", kind: "line" | "dashed" | "disc" = "line"): HTMLElement {
  const mark = { line: "stroke", dashed: "stroke dashed", disc: "disc" }[kind];
  return h("li", {}, h("span", { class: mark, style: `--stroke:${colour}` }), h("span", {}, name), text && h("span", { class: "muted" }, text));
}

/** A choice among a few values, as buttons of which one is pressed. */
export function choice<T extends string>(key: string, label: string, values: Array<[T, string]>, chosen: T | null, choose: (value: T) => void): HTMLElement {
  const one = ([value, text]: [T, string]): HTMLElement =>
    h("button", { type: "button", "data-key": `${key}-${value}`, "aria-pressed": String(value === chosen), click: () => choose(value) }, text);
  return h("div", { class: "choice", role: "group", "aria-label": label }, ...values.map(one));
}
