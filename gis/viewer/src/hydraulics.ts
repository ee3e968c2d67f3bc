/** Pressures after a closure: asked as a job with progress and a way to give it up, drawn in states with a legend. */

import type { AnswerProperties, Hydraulics } from "./answers.ts";
import type { App } from "./app.ts";
import { Asking } from "./asking.ts";
import { dataNotes, figures, folded, legendRow, section, strip } from "./blocks.ts";
import { h, type Child } from "./dom.ts";
import { progress } from "./job_progress.ts";
import { runJob, type JobState } from "./jobs.ts";
import { COLOURS } from "./overlay_layers.ts";
import type { Page } from "./panel.ts";
import { count, t, type TextKey } from "./text.ts";

/** What is shut: a burst's segment by its element, valves, or what a work shuts together with those at the same time. */
export type Shut = ({ stuck: string[] } & Partial<Record<"pipe" | "node" | "valve" | "connection", string>>) | { valves: string[] } | { work: number };

const STATES: Array<[state: string, title: TextKey]> = [
  ["fell_below", "fellBelow"], ["low", "lowBefore"], ["served", "served"], ["cut_off", "cutOff"], ["dry", "dryBefore"],
];
const LISTED = 200;

export class HydraulicsPage implements Page {
  readonly kind = "detail" as const;
  private readonly asking: Asking<Hydraulics>;
  private state: JobState | null = null;
  private begun = 0;
  private minimum = "";
  private chosen: string | null = null;

  constructor(
    private readonly app: App,
    private readonly network: string,
    private readonly shut: Shut,
  ) {
    this.asking = new Asking(() => app.panel.redraw(), () => void this.ask());
  }

  open(): void {
    this.app.panel.show(this);
    void this.ask();
  }

  closed(): void {
    this.asking.stop();
    this.app.view.overlay.show(null);
    this.app.view.overlay.select(null);
  }

  private async ask(): Promise<void> {
    this.state = null;
    this.begun = Date.now();
    const least = Number(this.minimum);
    const inputs = { network: this.network, ...this.shut, features: true, limit: LISTED, ...(least > 0 ? { min_pressure_m: least } : {}) };
    const told = (state: JobState): void => {
      this.state = state;
      this.app.panel.redraw();
    };
    const answer = await this.asking.ask((signal) => runJob<Hydraulics>("hydraulics-after-closure", inputs, told, signal));
    if (!answer) return;
    this.minimum = String(answer.min_pressure_m);
    this.app.view.overlay.show(answer.features ?? null);
    this.app.view.fit(answer.features?.features ?? []);
    this.app.panel.redraw();
  }

  private giveUp(): void {
    this.asking.stop();
    this.app.panel.redraw();
  }

  render() {
    const { answer, busy, error } = this.asking;
    const body: Child[] = [this.settings()];
    if (busy) body.push(progress(this.state, this.begun, () => this.giveUp()));
    else if (error) body.push(...this.asking.waiting());
    else if (answer) body.push(...this.result(answer));
    else body.push(strip("info", t("jobGivenUp")));
    return { title: t("hydraulics"), body };
  }

  private settings(): HTMLElement {
    const field = h("input", { type: "number", name: "minimum", min: 1, max: 200, step: "any", value: this.minimum, placeholder: t("byStandard"), input: () => (this.minimum = field.value) });
    const again = (event: Event): void => {
      event.preventDefault();
      void this.ask();
    };
    return h("form", { class: "settings", submit: again }, h("label", { class: "inline" }, t("minPressure"), field, t("metres")), h("button", { type: "submit", disabled: this.asking.busy }, t("recompute")));
  }

  private result(answer: Hydraulics): Child[] {
    const fell = answer.junctions.fell_below ?? 0;
    const unserved = answer.unserved_lps;
    const fed = ["fell_below", "low", "served"].some((state) => answer.junctions[state]);
    const good = fed ? strip("good", t("nobodyFell", answer.min_pressure_m)) : strip("warning", t("nobodyFed"));
    const verdict = fell ? strip("danger", h("strong", {}, t("someFell", count(fell), count(answer.customers.fell_below)))) : good;
    const rows = STATES.filter(([state]) => answer.junctions[state]).map(([state, title]) =>
      legendRow(COLOURS[state], t(title), t("pointsCustomers", count(answer.junctions[state]), count(answer.customers[state])), "disc"));
    return [
      verdict,
      section(t("legendPressure", answer.min_pressure_m), h("ul", { class: "legend" }, ...rows)),
      figures([
        [t("lowestLeft"), metres(answer.lowest_m), "lowest"],
        [t("largestFall"), metres(answer.largest_fall_m), "fall"],
        [t("unserved"), unserved.after === null ? "–" : `${unserved.after.toFixed(1)} L/s`, "unserved"],
      ]),
      this.points(answer),
      dataNotes(answer.findings),
      h("p", { class: "muted small" }, t(answer.model.kind === "file" ? "modelFile" : "modelLayers", answer.model.name), answer.standard ? ` · ${answer.standard.source ?? answer.standard.text ?? ""}` : "", ` · ${t("dataVersion", answer.data_version, answer.seconds.toFixed(2))}`),
    ];
  }

  private points({ points }: Hydraulics): Child {
    const rows = points.map((point) =>
      h(
        "li",
        { class: this.chosen === point.node ? "valve highlighted" : "valve", "data-node": point.node },
        h(
          "button",
          { type: "button", class: "valve-main", "data-key": `node-${point.node}`, title: t("locate"), click: () => this.look(point.node) },
          h("span", { class: "disc", style: `--stroke:${COLOURS[point.state]}` }),
          h("span", { class: "valve-text" }, h("span", { class: "where" }, point.node), h("span", { class: "valve-id" }, t("nCustomers", count(point.customers)))),
          h("span", { class: "clock" }, `${point.before_m.toFixed(1)} → ${point.after_m.toFixed(1)} ${t("metres")}`),
        ),
      ));
    if (points.length > 12) return folded(t("whoFell"), points.length, "points", h("ul", { class: "valves" }, ...rows));
    return points.length > 0 && section(t("whoFell"), h("ul", { class: "valves" }, ...rows));
  }

  private look(node: string): void {
    const geometry = this.asking.answer?.features?.features.find(({ properties }: { properties: AnswerProperties }) => properties.id === node && properties.layer === "water_node")?.geometry;
    this.chosen = node;
    this.app.view.overlay.select(geometry ?? null);
    if (geometry?.type === "Point") this.app.view.goTo(geometry.coordinates.slice(0, 2) as [number, number], 17);
    this.app.panel.redraw();
  }
}

function metres(value: number | null): string {
  // Not “-0.0”: the solver leaves a trace of a fall where there is none.
  return value === null ? "–" : `${(Math.round(value * 10) / 10 || 0).toFixed(1)} ${t("metres")}`;
}
