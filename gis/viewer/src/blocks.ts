/** Building blocks of an answer's page: numbers, lists of door-plates, lists of ids. */

import type { DoorPlate } from "./api.ts";
import { csv, download } from "./csv.ts";
import { button, h, icon, replace, type Child } from "./dom.ts";
import { count, t } from "./text.ts";

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

/** The door-plates: the first ones, a search among them, all on demand, and the list as a file. */
export function plateList(list: DoorPlate[], fileName: string): HTMLElement | null {
  if (!list.length) return null;
  let all = false;
  const rows = h("ul", { class: "plates" });
  const more = button({ class: "link", click: () => ((all = true), draw()) }, null);
  const find = h("input", { type: "search", class: "find", placeholder: t("filterPlates", count(list.length)), "aria-label": t("search"), input: () => draw() });
  const draw = (): void => {
    const text = find.value.trim().toLowerCase();
    const fits = text ? list.filter((plate) => `${plate.id} ${plate.address ?? ""}`.toLowerCase().includes(text)) : list;
    const seen = all ? fits : fits.slice(0, FIRST);
    replace(rows, ...seen.map((plate) => h("li", { title: plate.id }, plate.address || plate.id)));
    more.textContent = t("showAll", count(fits.length));
    more.hidden = seen.length === fits.length;
  };
  draw();
  const save = (): void => download(fileName, csv([[t("id"), t("address")], ...list.map((plate) => [plate.id, plate.address ?? ""])]));
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

export function working(): HTMLElement {
  return h("div", { class: "working", role: "status" }, h("span", { class: "spinner" }), t("computing"));
}
