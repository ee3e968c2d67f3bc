/** The valve-closure tool: valves chosen on the map, and what closing them cuts off. */

import { execute, readItem, type Affected, type AnswerFeatures, type DoorPlate } from "./api.ts";
import type { App } from "./app.ts";
import { figures, folded, idList, lengthText, plateList, section, strip, working } from "./blocks.ts";
import { button, h, type Child } from "./dom.ts";
import type { Page } from "./panel.ts";
import { pick, type Picked } from "./pick.ts";
import { count, t } from "./text.ts";
import type { Tool } from "./tools.ts";

export interface ClosureAnswer {
  network: string;
  affected: Affected;
  doorplate_list?: DoorPlate[];
  features?: AnswerFeatures;
}

export class ClosureTool implements Tool {
  readonly id = "closure";
  readonly layers = ["water_valve"];
  private chosen: Picked[] = [];
  private places = new Map<string, GeoJSON.Geometry>();
  private answer: ClosureAnswer | null = null;
  private error: string | null = null;
  private pending: AbortController | null = null;

  constructor(
    private readonly app: App,
    private readonly pickAgain: () => void,
  ) {}

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

  /** Each click adds a valve or takes it out again; the tool goes on waiting for the next. */
  click(point: { x: number; y: number }): boolean {
    const valve = pick(this.app.view, point, ["water_valve"], 16);
    if (!valve) this.app.say(t("closureNoValve"), "error");
    else this.toggle(valve);
    return false;
  }

  private toggle(valve: Picked): void {
    const same = (other: Picked): boolean => other.id === valve.id;
    const had = this.chosen.some(same);
    const others = this.chosen.filter((other) => !same(other) && other.network === valve.network);
    this.chosen = had ? others : [...others, valve];
    this.answer = null;
    this.error = null;
    this.app.panel.show(this.page);
    this.drawChosen();
    if (!had) void this.place(valve);
  }

  private async place(valve: Picked): Promise<void> {
    try {
      const item = await readItem("water_valve", `${valve.network}:${valve.id}`);
      if (item.geometry) this.places.set(valve.id, item.geometry);
      if (!this.answer) this.drawChosen();
    } catch {
      // Without its place the valve is in the list all the same.
    }
  }

  private drawChosen(): void {
    const features = this.chosen.flatMap((valve, i) => {
      const geometry = this.places.get(valve.id);
      return geometry ? [{ type: "Feature" as const, geometry, properties: { layer: "water_valve", id: valve.id, part: "valve_close", order: i + 1 } }] : [];
    });
    this.app.view.overlay.show({ type: "FeatureCollection", features });
  }

  private async run(): Promise<void> {
    this.pending?.abort();
    const request = (this.pending = new AbortController());
    this.app.showToday();
    const inputs = { network: this.chosen[0].network, valves: this.chosen.map((valve) => valve.id), features: true, details: true };
    try {
      this.answer = await execute<ClosureAnswer>("valve-closure", inputs, request.signal);
      this.app.view.overlay.show(this.answer.features ?? null);
      if (this.answer.features) this.app.view.fit(this.answer.features.features);
    } catch (error) {
      if (request.signal.aborted) return;
      this.error = (error as Error).message;
    }
    this.pending = null;
    this.app.panel.redraw();
  }

  clear(): void {
    this.pending?.abort();
    this.pending = null;
    this.chosen = [];
    this.answer = null;
    this.error = null;
    this.app.view.overlay.show(null);
  }

  private readonly page: Page = {
    kind: "analysis",
    closed: () => this.clear(),
    render: () => {
      const run = button({ class: "primary", disabled: !this.chosen.length, click: () => (void this.run(), this.app.panel.redraw()) }, "valve", t("closureRun"));
      const clear = button({ click: () => this.app.panel.close(this.page) }, "close", t("clear"));
      const again = button({ click: () => this.pickAgain() }, "valve", t("again"));
      return { title: t("closure"), body: [this.chosenList(), ...this.result()], actions: this.answer ? [again, clear] : [run, clear] };
    },
  };

  private chosenList(): HTMLElement {
    if (!this.chosen.length) return h("p", { class: "muted" }, t("closureNone"));
    const rows = this.chosen.map((valve, i) =>
      h(
        "li",
        { class: "valve", "data-valve": valve.id },
        h("span", { class: "valve-main" }, h("span", { class: "number" }, i + 1), h("span", { class: "valve-text" }, valve.id)),
        !this.answer && button({ class: "quiet icon-only", "aria-label": t("cancel"), click: () => this.toggle(valve) }, "close"),
      ),
    );
    return section(t("toClose"), h("ol", { class: "valves" }, ...rows));
  }

  private result(): Child[] {
    if (this.error) return [strip("danger", this.error)];
    if (this.pending) return [working()];
    if (!this.answer) return [];
    const { affected } = this.answer;
    if (!affected.pipes.length && !affected.customers) return [strip("good", t("closureNothing"))];
    const list = this.answer.doorplate_list ?? (affected.doorplates ?? []).map((id) => ({ id }));
    const hydrants = affected.hydrants ?? [];
    return [
      h("p", { class: "verdict" }, t("closureResult", this.chosen.length)),
      section(
        t("whoLoses"),
        figures([
          [t("customers"), count(affected.customers), "customers"],
          [t("doorplates"), count(affected.doorplates?.length), "doorplates"],
          [t("length"), lengthText(affected.length_m), "length"],
          [t("pipes"), count(affected.pipes.length), "pipes"],
        ]),
      ),
      plateList(list, `${t("doorplates")}.csv`),
      folded(t("hydrants"), hydrants.length, "hydrants", idList(hydrants)),
    ];
  }
}
