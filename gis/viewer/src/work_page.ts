/** One work: what it shuts, whom it leaves dry alone and with others, which valves stay shut, and its next step. */

import { execute } from "./api.ts";
import type { Conflict, Customer, Work, WorkAnswer } from "./answers.ts";
import type { App } from "./app.ts";
import { Asking } from "./asking.ts";
import { dataNotes, figures, folded, idList, legendRow, lengthText, plateList, section, strip } from "./blocks.ts";
import { priorityBlock, valveText } from "./burst_page.ts";
import { layerOf, valueText } from "./catalog.ts";
import { CrewPage } from "./crew.ts";
import { csv, download } from "./csv.ts";
import { button, h, type Child } from "./dom.ts";
import { ownId, priorityLines, readNames, readValves, type ValveFacts } from "./facts.ts";
import { HydraulicsPage } from "./hydraulics.ts";
import { NoticePage } from "./notice_page.ts";
import { COLOURS } from "./overlay_layers.ts";
import type { Page } from "./panel.ts";
import { joined, remember } from "./place.ts";
import { count, t, type TextKey } from "./text.ts";
import { spanText, timeText } from "./times.ts";
import { WorkForm } from "./work_form.ts";

type Action = "start" | "finish" | "cancel" | "undo";

const STEPS: Record<Work["state"], Action[]> = { planned: ["start", "cancel"], in_progress: ["finish", "cancel"], finished: [], cancelled: [] };
const STATES: Record<Work["state"], TextKey> = { planned: "statePlanned", in_progress: "stateInProgress", finished: "stateFinished", cancelled: "stateCancelled" };
const ACTIONS: Record<Action, [title: TextKey, question: TextKey]> = { start: ["workStart", "workStartAsk"], finish: ["workFinish", "workFinishAsk"], cancel: ["workCancel", "workCancelAsk"], undo: ["workUndo", "workUndoAsk"] };

/** Customers that are listed; the file has them all. */
const LISTED = 30;

/** A work's state as a coloured label. */
export function stateChip(state: Work["state"]): HTMLElement {
  return h("span", { class: `chip state ${state}` }, t(STATES[state]));
}

export class WorkPage implements Page {
  readonly kind = "detail" as const;
  private readonly asking: Asking<WorkAnswer>;
  private readonly valves = new Map<string, ValveFacts>();
  private readonly names = new Map<string, string>();
  private sure: Action | null = null;

  constructor(
    private readonly app: App,
    private readonly id: number,
    private readonly changed: () => void = () => undefined,
  ) {
    this.asking = new Asking(() => app.panel.redraw(), () => void this.read());
  }

  open(): void {
    this.app.panel.show(this);
    void this.read();
  }

  private read(): Promise<WorkAnswer | null> {
    return this.ask((signal) => execute<WorkAnswer>("works", { work: this.id, features: true, details: true }, signal));
  }

  closed(): void {
    this.asking.stop();
    this.app.view.overlay.show(null);
    remember({ open: "" });
  }

  seenAgain(): void {
    remember({ open: joined(["works", this.id]), stuck: "" });
    this.app.view.overlay.show(this.asking.answer?.features ?? null);
  }

  private async ask(question: (signal: AbortSignal) => Promise<WorkAnswer>): Promise<WorkAnswer | null> {
    const answer = await this.asking.ask(question);
    if (!answer) return null;
    this.seenAgain();
    if (answer.features) this.app.view.fit(answer.features.features.filter(({ properties }) => properties.part !== "cut_off"));
    const { close = [], optional = [], stuck = [] } = answer.plan?.valves ?? {};
    const named = [...close, ...stuck, ...optional.slice(0, 10), ...answer.held.map((one) => one.valve_id)];
    await Promise.all([readValves(answer.work.network, named, this.valves), readNames(answer.work.network, answer.plan?.affected.priority ?? [], this.names)]);
    this.app.panel.redraw();
    return answer;
  }

  /** Change the work, and look at it again. */
  private async change(inputs: { action: Action | "change"; stuck?: string[] }): Promise<void> {
    this.sure = null;
    this.valves.clear();
    const done = await this.ask(async (signal) => {
      const turned = await execute<WorkAnswer>("work-change", { ...inputs, work: this.id }, signal);
      const shown = await execute<WorkAnswer>("works", { work: this.id, features: true, details: true }, signal);
      return { ...shown, opened: turned.opened, closed: turned.closed, left_shut: turned.left_shut };
    });
    if (!done) return;
    this.app.valvesChanged();
    this.changed();
  }

  render() {
    const answer = this.asking.answer;
    const body = answer ? this.result(answer) : this.asking.waiting();
    return { title: t("workN", this.id), body, actions: answer ? this.actions(answer.work) : undefined };
  }

  private actions(work: Work): Child[] {
    if (!this.app.may("work-change")) return [];
    const next = STEPS[work.state].map((action) => button({ class: action === "cancel" ? "" : "primary", "data-action": action, click: () => ((this.sure = action), this.app.panel.redraw()) }, null, t(ACTIONS[action][0])));
    const undo = this.asking.answer!.events.length > 1 && button({ "data-action": "undo", title: t("workUndo"), click: () => ((this.sure = "undo"), this.app.panel.redraw()) }, "back", t("workUndoShort"));
    const alive = STEPS[work.state].length > 0;
    return [...next, alive && button({ "data-action": "change", click: () => this.edit(work) }, null, t("workChangeShort")), undo];
  }

  private edit(work: Work): void {
    new WorkForm(this.app, work, () => {
      this.changed();
      void this.read();
    }).open();
  }

  private confirmation(): Child {
    if (!this.sure) return null;
    const action = this.sure;
    return strip(
      "warning",
      h("strong", {}, t(ACTIONS[action][1])),
      h("div", { class: "confirm" }, button({ class: "primary", "data-key": "sure", click: () => void this.change({ action }) }, null, t("yesDo")), button({ click: () => ((this.sure = null), this.app.panel.redraw()) }, null, t("noBack"))),
    );
  }

  private result(answer: WorkAnswer): Child[] {
    const { work, plan } = answer;
    return [
      h("p", { class: "verdict" }, work.title),
      h("p", { class: "work-head" }, stateChip(work.state), h("span", { class: "chip" }, t(work.kind === "emergency" ? "workEmergency" : "workPlanned")), work.overdue && h("span", { class: "chip bad" }, t("overdue")), spanText(work.starts, work.ends)),
      work.reason && h("p", { class: "muted" }, work.reason),
      this.confirmation(),
      this.turned(answer),
      ...answer.conflicts.map((conflict) => this.conflict(conflict, work.id)),
      plan && this.closing(answer),
      plan && this.priority(answer),
      this.steps(answer),
      plan && this.numbers(answer),
      answer.doorplate_list && plateList(answer.doorplate_list, `${t("doorplates")}_${work.id}.csv`),
      plan && plan.feeds_to_open.length > 0 && h("section", { class: "block good" }, h("h3", {}, t("feedsToOpen")), this.valveList(plan.feeds_to_open)),
      this.atTheEnd(answer),
      folded(t("workHistory"), answer.events.length, "events", h("ul", { class: "events" }, ...answer.events.map((event) => h("li", {}, this.event(event))))),
      dataNotes(answer.findings ?? []),
      h("p", { class: "muted small" }, t("dataVersionOnly", answer.data_version)),
    ];
  }

  private event({ at, was, becomes, undoes, operator, note }: WorkAnswer["events"][number]): string {
    const what = undoes ? `${t("workUndone")} · ${t(STATES[becomes])}` : was === becomes ? t("workChanged") : t(STATES[becomes]);
    return [timeText(at), what, operator, note].filter(Boolean).join(" · ");
  }

  /** What the last step opened and shut. */
  private turned({ opened, closed, left_shut }: WorkAnswer): Child {
    if (!opened && !closed) return null;
    const lines = [opened?.length && t("turnedOpen", opened.join("、")), closed?.length && t("turnedShut", closed.join("、")), left_shut?.length && t("leftShut", left_shut.join("、"))].filter(Boolean) as string[];
    return lines.length > 0 && strip("info", ...lines.map((line) => h("div", {}, line)));
  }

  private conflict(conflict: Conflict, own: number): HTMLElement {
    const others = conflict.works.filter((id) => id !== own);
    const { extra, shared, spared } = conflict;
    const open = (id: number): HTMLElement => button({ class: "link", click: () => new WorkPage(this.app, id, this.changed).open() }, "works", t("workN", id));
    return strip(
      "warning",
      h("strong", {}, t("conflictWith", others.join("、"))),
      h("div", {}, spanText(conflict.from, conflict.until)),
      h("div", { "data-extra": extra.customers }, extra.customers || extra.pipes.length ? t("conflictExtra", count(extra.customers), count(extra.pipes.length)) : t("conflictNoExtra")),
      shared.length > 0 && h("div", {}, t("conflictShared", shared.join("、"))),
      spared.length > 0 && h("div", {}, t("conflictSpared", spared.join("、"))),
      !conflict.isolated && h("div", {}, t("cannotIsolate")),
      this.extraCustomers(extra.customer_list ?? []),
      h("div", {}, ...others.map(open)),
    );
  }

  /** Who loses water only because the works last at the same time. */
  private extraCustomers(list: Customer[]): Child {
    if (!list.length) return null;
    const field = layerOf(this.app.catalog(), "water_connection")?.fields?.find((one) => one.name === "priority");
    const kind = (one: Customer): string => (one.priority === "none" ? "" : valueText(field, one.priority));
    const head = [t("community"), t("address"), t("connection"), t("customers"), t("priorityUsers"), t("customerName"), t("phone")];
    const rows = list.map((one) => [one.community, one.address ?? "", one.connection, one.customers, kind(one), one.name ?? "", one.phone ?? ""]);
    const shown = list.slice(0, LISTED).map((one) => h("li", {}, kind(one) && h("b", {}, `${kind(one)} `), [one.address ?? one.connection, one.name, one.phone].filter(Boolean).join(" "), one.customers > 1 ? ` · ${t("nCustomers", count(one.customers))}` : ""));
    const save = button({ class: "link", click: () => download(`${t("extraCustomers")}_${this.id}.csv`, csv([head, ...rows])) }, "download", t("downloadCsv"));
    return h("details", { class: "extra-customers" }, h("summary", {}, t("extraCustomers")), save, h("ul", { class: "events" }, ...shown), list.length > LISTED && h("p", {}, t("andMore", count(list.length - LISTED))));
  }

  private priority({ plan }: WorkAnswer): Child {
    const lines = priorityLines(this.app.catalog(), plan!.affected.priority ?? [], this.names);
    return lines.length > 0 && priorityBlock(lines);
  }

  private valveList(ids: string[], numbered = false): HTMLElement {
    const work = this.asking.answer!.work;
    const may = numbered && this.app.may("work-change") && STEPS[work.state].length > 0;
    const stuck = (id: string): Child => may && h("button", { type: "button", class: "stuck", click: () => void this.change({ action: "change", stuck: [...work.stuck, id] }) }, t("stuckButton"));
    const rows = ids.map((id, i) =>
      h("li", { class: numbered ? "valve" : "", "data-valve": id }, h("button", { type: "button", class: "valve-main", "data-key": `valve-${id}`, title: t("locate"), click: () => this.look(id) }, numbered && h("span", { class: "number" }, i + 1), valveText(id, this.valves.get(id))), stuck(id)));
    return h(numbered ? "ol" : "ul", { class: numbered ? "valves" : "valves plain" }, ...rows);
  }

  private closing({ plan }: WorkAnswer): Child {
    const { valves, isolated, sources_to_shut } = plan!;
    return h(
      "div",
      {},
      !isolated && strip("danger", h("strong", {}, t("cannotIsolate")), sources_to_shut.length > 0 && h("div", {}, t("sourcesToShut", sources_to_shut.join("、")))),
      valves.close.length > 0 && section(t("workCloses", valves.close.length), this.valveList(valves.close, true)),
      folded(t("optional"), valves.optional.length, "optional", this.valveList(valves.optional)),
      folded(t("alreadyClosed"), valves.already_closed.length, "already_closed", idList(valves.already_closed)),
      valves.stuck.length > 0 && section(t("stuckList"), h("ul", { class: "valves" }, ...valves.stuck.map((id) => this.stuckRow(id)))),
    );
  }

  private stuckRow(id: string): HTMLElement {
    const { stuck } = this.asking.answer!.work;
    const undo = (): void => void this.change({ action: "change", stuck: stuck.filter((one) => one !== id) });
    return h(
      "li",
      { class: "valve", "data-stuck": id },
      h("button", { type: "button", class: "valve-main", title: t("locate"), click: () => this.look(id) }, h("span", { class: "number purple" }, "×"), valveText(id, this.valves.get(id))),
      stuck.includes(id) && this.app.may("work-change") && button({ class: "undo", click: undo }, "back", t("undoStuck")),
    );
  }

  private steps({ work, plan }: WorkAnswer): Child {
    const steps = [
      plan && plan.valves.close.length > 0 && this.app.may("crew-route") && button({ class: "step", "data-step": "route", click: () => new CrewPage(this.app, { network: work.network, work: work.id }).open() }, "route", t("crew")),
      plan && plan.valves.close.length > 0 && this.app.may("hydraulics-after-closure") && button({ class: "step", "data-step": "gauge", click: () => new HydraulicsPage(this.app, work.network, { work: work.id }).open() }, "gauge", t("hydraulics")),
      plan && this.app.may("outage-notice") && button({ class: "step", "data-step": "notice", click: () => new NoticePage(this.app, { work: work.id }).open() }, "notice", t("notice")),
    ].filter(Boolean) as HTMLElement[];
    return steps.length > 0 && section(t("nextSteps"), h("div", { class: "steps" }, ...steps));
  }

  private numbers({ plan, conflicts }: WorkAnswer): HTMLElement {
    const { affected, unintended } = plan!;
    const extra = conflicts.reduce((n, one) => n + one.extra.pipes.length, 0);
    return section(
      t("whoLoses"),
      figures([
        [t("customers"), count(affected.customers), "customers"],
        [t("doorplates"), count(affected.doorplates?.length), "doorplates"],
        [t("length"), lengthText(affected.length_m), "length"],
      ]),
      h(
        "ul",
        { class: "legend" },
        legendRow(COLOURS.closed, t("closedPart"), t("nPipes", count(affected.pipes.length - unintended.pipes.length))),
        unintended.pipes.length > 0 && legendRow(COLOURS.cut_off, t("cutOffPart"), `${t("nPipes", count(unintended.pipes.length))} · ${t("nCustomers", count(unintended.customers))}`, "dashed"),
        extra > 0 && legendRow(COLOURS.extra, t("extraPart"), t("nPipes", count(extra)), "dashed"),
      ),
    );
  }

  /** Which valves may be opened when the work ends, and which stay shut for others. */
  private atTheEnd({ may_open, stay_shut }: WorkAnswer): Child {
    if (!may_open.length && !stay_shut.length) return null;
    return section(
      t("workAtEnd"),
      may_open.length > 0 && h("div", {}, h("h4", {}, t("mayOpen")), idList(may_open, (id) => this.look(id))),
      stay_shut.length > 0 && h("div", { class: "stay-shut" }, h("h4", {}, t("stayShut")), h("ul", { class: "events" }, ...stay_shut.map(({ valve, works }) => h("li", {}, t("stayShutFor", valve, works.join("、")))))),
    );
  }

  private look(valve: string): void {
    const answer = this.asking.answer!;
    const feature = answer.features?.features.find(({ properties }) => properties.layer === "water_valve" && ownId(properties.id, answer.work.network) === valve);
    if (feature?.geometry.type === "Point") this.app.view.goTo(feature.geometry.coordinates.slice(0, 2) as [number, number], 17.5);
  }
}
