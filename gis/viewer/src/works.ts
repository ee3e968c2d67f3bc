/** The works of the network: the list by state, each opened with a click. */

import { execute } from "./api.ts";
import type { Work, WorkState } from "./answers.ts";
import type { App } from "./app.ts";
import { Asking } from "./asking.ts";
import { choice } from "./blocks.ts";
import { button, h } from "./dom.ts";
import type { Page } from "./panel.ts";
import { joined, remember } from "./place.ts";
import { count, t } from "./text.ts";
import { spanText } from "./times.ts";
import type { Tool } from "./tools.ts";
import { stateChip, WorkPage } from "./work_page.ts";

const SHOWN = ["alive", "finished", "cancelled"] as const;
type Shown = (typeof SHOWN)[number];
const OF: Record<Shown, WorkState[]> = { alive: ["planned", "in_progress"], finished: ["finished"], cancelled: ["cancelled"] };

export class WorksTool implements Tool {
  readonly id = "works";
  readonly title = "works";
  readonly short = "worksShort";
  readonly icon = "works";
  readonly layers = ["water_pipe"];
  readonly process = "works";
  private shown: Shown = "alive";
  private readonly asking: Asking<{ works: Work[] }>;

  constructor(private readonly app: App) {
    this.asking = new Asking(() => app.panel.redraw(), () => void this.read());
  }

  loginReason(): string {
    return t("worksNeedLogin");
  }

  begin(): void {
    this.app.panel.show(this.page);
    this.address();
    void this.read();
  }

  restore([id]: string[]): void {
    this.begin();
    if (Number(id) > 0) this.openWork(Number(id));
  }

  private address(): void {
    remember({ open: joined(["works"]), stuck: "" });
  }

  private read(): Promise<unknown> {
    return this.asking.ask((signal) => execute<{ works: Work[] }>("works", { network: this.app.networks.current, limit: 1000 }, signal));
  }

  private openWork(id: number): void {
    new WorkPage(this.app, id, () => void this.read()).open();
  }

  private readonly page: Page = {
    kind: "analysis",
    closed: () => {
      this.asking.stop();
      remember({ open: "" });
    },
    seenAgain: () => {
      this.address();
      void this.read();
    },
    render: () => ({
      title: t("works"),
      body: [this.filter(), ...this.asking.waiting(), this.list()],
      actions: [button({ click: () => void this.read() }, null, t("refresh")), button({ click: () => this.app.panel.close(this.page) }, "close", t("close"))],
    }),
  };

  private filter(): HTMLElement {
    const works = this.asking.answer?.works ?? [];
    const n = (shown: Shown): string => count(works.filter(({ state }) => OF[shown].includes(state)).length);
    return choice("works", t("works"), [["alive", `${t("worksAlive")} ${n("alive")}`], ["finished", `${t("stateFinished")} ${n("finished")}`], ["cancelled", `${t("stateCancelled")} ${n("cancelled")}`]], this.shown, (shown) => {
      this.shown = shown;
      this.app.panel.redraw();
    });
  }

  private list(): HTMLElement | null {
    const all = this.asking.answer?.works;
    if (!all) return null;
    const works = all.filter(({ state }) => OF[this.shown].includes(state));
    if (!works.length) return h("p", { class: "muted" }, t(all.length ? "noWorksHere" : "noWorks"));
    const row = (work: Work): HTMLElement =>
      h(
        "li",
        { class: "valve", "data-work": work.id },
        h(
          "button",
          { type: "button", class: "valve-main", "data-key": `work-${work.id}`, click: () => this.openWork(work.id) },
          h("span", { class: "number grey" }, work.id),
          h("span", { class: "valve-text" }, h("span", { class: "where" }, work.title), h("span", { class: "valve-id" }, `${spanText(work.starts, work.ends)} · ${work.element_id}`), h("span", { class: "notes" }, stateChip(work.state), work.kind === "emergency" && h("span", { class: "chip bad" }, t("workEmergency")), work.overdue && h("span", { class: "chip bad" }, t("overdue")))),
        ),
      );
    return h("ul", { class: "valves" }, ...works.map(row));
  }
}
