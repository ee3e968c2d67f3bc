/** The outage notice and valve-closing order on paper: what the crew takes along. */

import type { BurstAnswer } from "./answers.ts";
import type { App } from "./app.ts";
import { lengthText } from "./blocks.ts";
import { burstPlace } from "./burst_page.ts";
import { h, replace, type Child } from "./dom.ts";
import { plates, priorityLines, valveNotes, type ValveFacts } from "./facts.ts";
import { count, t, titleOf } from "./text.ts";
import { timeText } from "./times.ts";

function table(head: string[], rows: Child[][], classes = ""): HTMLElement {
  return h(
    "table",
    { class: classes },
    h("thead", {}, h("tr", {}, ...head.map((title) => h("th", {}, title)))),
    h("tbody", {}, ...rows.map((row) => h("tr", {}, ...row.map((one) => h("td", {}, one))))),
  );
}

function facts(app: App, answer: BurstAnswer): HTMLElement {
  const { affected, burst } = answer;
  const at = burst.lon !== undefined && burst.lat !== undefined ? ` (${burst.lon.toFixed(6)}, ${burst.lat.toFixed(6)})` : "";
  const { user } = app.catalog();
  const rows: Array<[string, string]> = [
    [t("burstAt"), burstPlace(answer) + at],
    [t("noticeTime"), timeText(new Date())],
    [t("noticeOperator"), user.role === "anonymous" ? "" : (user.name ?? "")],
    [t("customers"), count(affected.customers)],
    [t("doorplates"), count(affected.doorplates?.length)],
    [t("length"), `${lengthText(affected.length_m)} (${t("nPipes", count(affected.pipes.length))})`],
    [t("hydrants"), (affected.hydrants ?? []).join("、") || "0"],
  ];
  return h("table", { class: "notice-facts" }, h("tbody", {}, ...rows.map(([name, value]) => h("tr", {}, h("th", {}, name), h("td", {}, value)))));
}

function valveTable(answer: BurstAnswer, valves: Map<string, ValveFacts>): HTMLElement {
  const rows = answer.valves.close.map((id, i) => {
    const known = valves.get(id);
    return [String(i + 1), id, known?.where ?? "", valveNotes(known).map((note) => note.text).join("，"), ""];
  });
  return table([t("noticeNumber"), t("valve"), t("noticeWhere"), t("noticeState"), t("noticeSigned")], rows, "notice-valves");
}

function lists(app: App, answer: BurstAnswer, names: Map<string, string>): Child[] {
  const list = plates(answer);
  const line = (title: string, ids: string[]): Child => ids.length > 0 && h("p", {}, h("b", {}, `${title}: `), ids.join("、"));
  return [
    line(t("stuckList"), answer.valves.stuck),
    line(t("alreadyClosed"), answer.valves.already_closed),
    line(t("feedsToOpen"), answer.feeds_to_open),
    line(t("priorityUsers"), priorityLines(app.catalog(), answer.affected.priority ?? [], names).map(({ kind, name }) => `${kind} ${name}`.trim())),
    list.length > 0 && h("h2", {}, t("noticePlates", count(list.length))),
    list.length > 0 && h("ul", { class: "notice-plates" }, ...list.map((plate) => h("li", {}, plate.address || plate.id))),
  ];
}

/** Lay the notice out for printing and open the browser's print window. */
export async function printNotice(app: App, answer: BurstAnswer, valves: Map<string, ValveFacts>, names: Map<string, string>): Promise<void> {
  const notice = document.getElementById("notice")!;
  const picture = h("img", { src: await app.view.picture(answer.features?.features ?? []), alt: t("noticeMap") });
  await picture.decode();
  replace(
    notice,
    h("h1", {}, `${titleOf(app.catalog().city.name)} · ${t("noticeTitle")}`),
    !answer.isolated && h("p", { class: "notice-warning" }, `${t("cannotIsolate")}: ${answer.sources_to_shut.join("、")}`),
    facts(app, answer),
    h("p", {}, t("noticeDuration")),
    h("h2", {}, t("toCloseN", answer.valves.close.length)),
    valveTable(answer, valves),
    h("figure", {}, picture, h("figcaption", {}, t("noticeMap"))),
    ...lists(app, answer, names),
    h("p", { class: "notice-foot" }, t("dataVersion", answer.data_version ?? "–", (answer.seconds ?? 0).toFixed(2))),
  );
  // Only now the paper shows the notice instead of the page: whoever prints otherwise gets the map.
  document.documentElement.classList.add("with-notice");
  addEventListener("afterprint", () => document.documentElement.classList.remove("with-notice"), { once: true });
  window.print();
}
