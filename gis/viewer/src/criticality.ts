/** Criticality on the map: pipes by what a burst cuts off, valves by what their failure adds; with legend and ranking. */

import { execute } from "./api.ts";
import type { AnswerProperties, Criticality, LegendClass } from "./answers.ts";
import type { App } from "./app.ts";
import { Asking } from "./asking.ts";
import { choice, figures, legendRow, section, strip } from "./blocks.ts";
import { button, h, type Child } from "./dom.ts";
import { progress } from "./job_progress.ts";
import { runJob, type JobState } from "./jobs.ts";
import { COLOURS } from "./overlay_layers.ts";
import type { Page } from "./panel.ts";
import { joined, remember } from "./place.ts";
import { count, t, titleOf, type TextKey } from "./text.ts";
import type { Tool } from "./tools.ts";

const BY = ["customers", "unintended", "priority"] as const;
type By = (typeof BY)[number];
const TITLES: Record<By, TextKey> = { customers: "byCustomers", unintended: "byUnintended", priority: "byPriority" };
type Part = "segment" | "valve";
const LISTED = 50;
/** How many are asked for of a network that is too large to be drawn whole. */
const TOP = 500;

export class CriticalityTool implements Tool {
  readonly id = "criticality";
  readonly title = "criticality";
  readonly short = "criticality";
  readonly icon = "ranking";
  readonly layers = ["water_pipe"];
  readonly process = "criticality-map";
  private by: By = "customers";
  private part: Part = "segment";
  private chosen: string | null = null;
  private state: JobState | null = null;
  private begun = 0;
  private readonly asking: Asking<Criticality>;

  constructor(private readonly app: App) {
    this.asking = new Asking(() => app.panel.redraw(), () => void this.ask());
  }

  loginReason(): string {
    return t("criticalityNeedsLogin");
  }

  begin(): void {
    this.app.panel.show(this.page);
    void this.ask();
  }

  restore([by]: string[]): void {
    if (BY.includes(by as By)) this.by = by as By;
    this.begin();
  }

  private async ask(): Promise<void> {
    remember({ open: joined(["criticality", this.by]), stuck: "" });
    const network = this.app.networks.current;
    this.state = null;
    this.begun = Date.now();
    this.chosen = null;
    const told = (state: JobState): void => {
      this.state = state;
      this.app.panel.redraw();
    };
    const answer = await this.asking.ask((signal) =>
      this.app.networks.large
        ? runJob<Criticality>("network-criticality", { network, top: TOP, features: true }, told, signal)
        : execute<Criticality>("criticality-map", { network, by: this.by }, signal),
    );
    if (answer) this.draw(true);
  }

  private draw(look = false): void {
    const features = this.asking.answer?.features;
    this.app.view.overlay.show(features ?? null);
    this.mark();
    if (look && features) this.app.view.fit(features.features);
  }

  private readonly page: Page = {
    kind: "analysis",
    closed: () => {
      this.asking.stop();
      this.app.view.overlay.show(null);
      this.app.view.overlay.select(null);
      remember({ open: "" });
    },
    seenAgain: () => this.draw(),
    render: () => {
      const { answer, busy } = this.asking;
      const wait = busy && this.app.networks.large ? [progress(this.state, this.begun, () => this.app.panel.close(this.page))] : this.asking.waiting();
      return {
        title: t("criticality"),
        body: [!this.app.networks.large && this.choices(), ...wait, ...(answer ? this.result(answer) : [])],
        actions: [button({ click: () => this.app.panel.close(this.page) }, "close", t("clear"))],
      };
    },
  };

  private choices(): HTMLElement {
    return choice("by", t("criticalityBy"), BY.map((by): [By, string] => [by, t(TITLES[by])]), this.by, (by) => {
      this.by = by;
      void this.ask();
    });
  }

  private result(answer: Criticality): Child[] {
    const chosen = this.ranked(answer).find((one) => keyOf(one) === this.chosen);
    return [
      this.app.networks.large && strip("info", t("criticalityLarge", TOP)),
      answer.layers && this.legend(answer.layers),
      chosen && this.facts(chosen),
      section(
        t("ranking"),
        choice("part", t("ranking"), [["segment", t("segments")], ["valve", t("valvesN1")]], this.part, (part) => {
          this.part = part;
          this.app.panel.redraw();
        }),
        h("ol", { class: "valves ranking" }, ...this.ranked(answer, this.part).slice(0, LISTED).map((one) => this.row(one))),
      ),
      h("p", { class: "muted small" }, t("dataVersion", answer.data_version, answer.seconds.toFixed(2))),
    ];
  }

  private legend(layers: NonNullable<Criticality["layers"]>): HTMLElement {
    const block = (part: Part): HTMLElement =>
      h("div", { "data-legend": part }, h("h4", {}, titleOf(layers[part].title)), h("ul", { class: "legend" }, ...layers[part].classes.map((one) => legendRow(one.color, classText(one), t("nPlain", count(one.n)), part === "valve" ? "disc" : "line"))));
    return h("section", { class: "block" }, block("segment"), block("valve"));
  }

  /** One feature's properties per segment and valve, the most critical first. */
  private ranked(answer: Criticality, part?: Part): AnswerProperties[] {
    const found = new Map<string, AnswerProperties>();
    for (const { properties } of answer.features.features) {
      if (!part || properties.part === part) found.set(keyOf(properties), properties);
    }
    return [...found.values()].sort((a, b) => Number(a.rank) - Number(b.rank));
  }

  private row(one: AnswerProperties): HTMLElement {
    const key = keyOf(one);
    const segment = one.part === "segment";
    const amount = segment ? t("nCustomers", count(Number(one.affected_customers))) : `+${t("nCustomers", count(Number(one.customers_added)))}`;
    const note = segment ? t("segmentNote", count(Number(one.affected_pipes)), count(Number(one.valves_to_close))) : t("valveNote", String(one.burst_in_segment ?? ""));
    return h(
      "li",
      { class: key === this.chosen ? "valve highlighted" : "valve", "data-ranked": key },
      h(
        "button",
        { type: "button", class: "valve-main", "data-key": key, title: t("locate"), click: () => this.look(key) },
        h("span", { class: "number", style: `background:${one.color ?? COLOURS.closed}; color:${ink(String(one.color ?? ""))}` }, Number(one.rank)),
        h("span", { class: "valve-text" }, h("span", { class: "where" }, segment ? t("segmentOf", String(one.segment_id)) : String(one.id)), h("span", { class: "valve-id" }, note, one.isolated === false && h("span", { class: "chip bad" }, t("cannotIsolateShort")))),
        h("span", { class: "clock" }, amount),
      ),
    );
  }

  private facts(one: AnswerProperties): HTMLElement {
    const entries: Array<[string, string, string]> =
      one.part === "segment"
        ? [[t("rank"), String(one.rank), "rank"], [t("customers"), count(Number(one.affected_customers)), "affected"], [t("unintended"), count(Number(one.unintended_customers)), "unintended"]]
        : [[t("rank"), String(one.rank), "rank"], [t("customersAdded"), count(Number(one.customers_added)), "added"], [t("pipesAdded"), count(Number(one.pipes_added)), "pipes"]];
    return section(one.part === "segment" ? t("segmentOf", String(one.segment_id)) : `${t("valve")} ${one.id}`, figures(entries));
  }

  /** A click on a drawn pipe or valve shows its place in the ranking. */
  pickedSymbol(properties: Record<string, unknown>): boolean {
    if (!this.asking.answer || !["segment", "valve"].includes(String(properties.part))) return false;
    this.part = properties.part as Part;
    this.chosen = keyOf(properties);
    this.mark();
    this.app.panel.redraw();
    this.app.panel.element.querySelector(".highlighted")?.scrollIntoView({ block: "nearest" });
    return true;
  }

  private features(): GeoJSON.Feature[] {
    return this.asking.answer?.features.features.filter(({ properties }) => keyOf(properties) === this.chosen) ?? [];
  }

  private mark(): void {
    const lines = this.features().map(({ geometry }) => geometry);
    this.app.view.overlay.select(lines.length ? (lines.length === 1 ? lines[0] : { type: "GeometryCollection", geometries: lines }) : null);
  }

  private look(key: string): void {
    this.chosen = key;
    this.mark();
    this.app.view.fit(this.features());
    this.app.panel.redraw();
  }
}

/** What a feature is one of: its segment, or itself. */
function keyOf(properties: Record<string, unknown>): string {
  return properties.part === "segment" ? `segment/${properties.segment_id}` : `valve/${properties.id}`;
}

function classText({ from, to }: LegendClass): string {
  if (from === null && to === null) return t("classAll");
  if (from === null) return t("classBelow", count(to));
  return to === null ? t("classAbove", count(from)) : t("classBetween", count(from), count(to));
}

/** Black or white, whichever is read on this colour. */
function ink(hex: string): string {
  if (!/^#[0-9a-f]{6}$/i.test(hex)) return "#ffffff";
  const [r, g, b] = [1, 3, 5].map((i) => parseInt(hex.slice(i, i + 2), 16));
  return r * 0.299 + g * 0.587 + b * 0.114 > 150 ? "#17222d" : "#ffffff";
}
