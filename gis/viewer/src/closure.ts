/** The valve-closure tool: valves chosen on the map, and what closing them cuts off. */

import { execute, readItems } from "./api.ts";
import type { Affected, AnswerFeatures, DoorPlate, Finding } from "./answers.ts";
import type { App } from "./app.ts";
import { Asking } from "./asking.ts";
import { dataNotes, figures, folded, idList, lengthText, plateList, section, strip } from "./blocks.ts";
import { button, h, type Child } from "./dom.ts";
import { HydraulicsPage } from "./hydraulics.ts";
import type { Page } from "./panel.ts";
import { pick, type Picked } from "./pick.ts";
import { joined, remember } from "./place.ts";
import { count, t } from "./text.ts";
import type { Tool } from "./tools.ts";

export interface ClosureAnswer {
  network: string;
  affected: Affected;
  stuck: string[];
  already_closed: string[];
  feeds_to_open: string[];
  findings: Finding[];
  doorplate_list?: DoorPlate[];
  features?: AnswerFeatures;
}

export class ClosureTool implements Tool {
  readonly id = "closure";
  readonly title = "closure";
  readonly short = "closureShort";
  readonly icon = "valve";
  readonly layers = ["water_valve"];
  private chosen: Array<Pick<Picked, "network" | "id">> = [];
  private readonly places = new Map<string, GeoJSON.Geometry>();
  private readonly asking: Asking<ClosureAnswer>;

  constructor(
    private readonly app: App,
    private readonly pickAgain: () => void,
  ) {
    this.asking = new Asking(() => app.panel.redraw(), () => void this.run());
  }

  prompt(): { text: string; hint: string } {
    return { text: t("closurePick"), hint: t("burstZoom") };
  }

  loginReason(): string {
    return t("closureNeedsLogin");
  }

  begin(): void {
    this.clear();
    this.app.panel.show(this.page);
  }

  restore(ids: string[]): void {
    this.begin();
    this.chosen = ids.map((id) => ({ network: this.app.networks.current, id }));
    if (ids.length) void this.run();
  }

  /** Each click adds a valve or takes it out again; the tool goes on waiting for the next. */
  click(point: { x: number; y: number }): boolean {
    const valve = pick(this.app.view, point, ["water_valve"], 16);
    if (!valve) this.app.say(t("closureNoValve"), "error");
    else this.toggle(valve);
    return false;
  }

  private toggle(valve: Pick<Picked, "network" | "id">): void {
    const had = this.chosen.some(({ id }) => id === valve.id);
    const others = this.chosen.filter(({ id, network }) => id !== valve.id && network === valve.network);
    this.chosen = had ? others : [...others, valve];
    this.asking.stop();
    this.app.panel.show(this.page);
    this.draw();
    if (!had) void this.place(valve);
  }

  private async place({ network, id }: Pick<Picked, "network" | "id">): Promise<void> {
    // Without its place the valve is in the list all the same.
    const [item] = await readItems("water_valve", network, "valve_id", [id]).catch(() => []);
    if (item?.geometry) this.places.set(id, item.geometry);
    if (!this.asking.answer) this.draw();
  }

  /** The answer, or before there is one the chosen valves. */
  private draw(): void {
    remember({ open: this.asking.answer ? joined(["closure", ...this.chosen.map(({ id }) => id)]) : "", stuck: "" });
    if (this.asking.answer?.features) return this.app.view.overlay.show(this.asking.answer.features);
    const features = this.chosen.flatMap(({ id }, i) => {
      const geometry = this.places.get(id);
      return geometry ? [{ type: "Feature" as const, geometry, properties: { layer: "water_valve", id, part: "valve_close", order: i + 1 } }] : [];
    });
    this.app.view.overlay.show({ type: "FeatureCollection", features });
  }

  private async run(): Promise<void> {
    this.app.showToday();
    const inputs = { network: this.chosen[0].network, valves: this.chosen.map(({ id }) => id), features: true, details: true };
    const answer = await this.asking.ask((signal) => execute<ClosureAnswer>("valve-closure", inputs, signal));
    if (!answer) return;
    this.draw();
    this.app.view.fit(answer.features?.features ?? []);
  }

  valvesChanged(): void {
    if (this.asking.answer && this.app.panel.onTop(this.page)) void this.run();
  }

  private clear(): void {
    this.asking.stop();
    this.chosen = [];
    this.draw();
  }

  private readonly page: Page = {
    kind: "analysis",
    closed: () => this.clear(),
    seenAgain: () => this.draw(),
    render: () => {
      const run = button({ class: "primary", disabled: !this.chosen.length || this.asking.busy, click: () => void this.run() }, "valve", t("closureRun"));
      const clear = button({ click: () => this.app.panel.close(this.page) }, "close", t("clear"));
      const again = button({ click: () => this.pickAgain() }, "valve", t("again"));
      return { title: t("closure"), body: [this.chosenList(), ...this.asking.waiting(), ...this.result()], actions: this.asking.answer ? [again, clear] : [run, clear] };
    },
  };

  private chosenList(): HTMLElement {
    if (!this.chosen.length) return h("p", { class: "muted" }, t("closureNone"));
    const rows = this.chosen.map((valve, i) =>
      h(
        "li",
        { class: "valve", "data-valve": valve.id },
        h("span", { class: "valve-main" }, h("span", { class: "number" }, i + 1), h("span", { class: "valve-text" }, valve.id)),
        !this.asking.answer && button({ class: "quiet icon-only", "aria-label": t("cancel"), click: () => this.toggle(valve) }, "close"),
      ),
    );
    return section(t("toClose"), h("ol", { class: "valves" }, ...rows));
  }

  private result(): Child[] {
    const answer = this.asking.answer;
    if (!answer) return [];
    const { affected, network, stuck, already_closed, feeds_to_open } = answer;
    const nothing = !affected.pipes.length && !affected.customers;
    const hydrants = affected.hydrants ?? [];
    const valves = this.chosen.map(({ id }) => id);
    const pressures = (): void => new HydraulicsPage(this.app, network, { valves }).open();
    return [
      nothing ? strip("good", t("closureNothing")) : h("p", { class: "verdict" }, t("closureResult", this.chosen.length)),
      stuck.length > 0 && strip("warning", t("closureStuck", stuck.join("、"))),
      this.app.may("hydraulics-after-closure") && section(t("nextSteps"), h("div", { class: "steps" }, button({ class: "step", "data-step": "gauge", click: pressures }, "gauge", t("hydraulics")))),
      !nothing && section(
        t("whoLoses"),
        figures([
          [t("customers"), count(affected.customers), "customers"],
          [t("doorplates"), count(affected.doorplates?.length), "doorplates"],
          [t("length"), lengthText(affected.length_m), "length"],
          [t("pipes"), count(affected.pipes.length), "pipes"],
        ]),
      ),
      plateList(answer.doorplate_list ?? [], `${t("doorplates")}.csv`),
      feeds_to_open.length > 0 && h("section", { class: "block good" }, h("h3", {}, t("feedsToOpen")), idList(feeds_to_open)),
      folded(t("alreadyClosed"), already_closed.length, "already_closed", idList(already_closed)),
      folded(t("hydrants"), hydrants.length, "hydrants", idList(hydrants)),
      dataNotes(answer.findings ?? []),
    ];
  }
}
