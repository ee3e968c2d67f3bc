/** The trace tool: from a pipe upstream, downstream, or to everything connected. */

import { execute } from "./api.ts";
import type { AnswerFeatures } from "./answers.ts";
import type { App } from "./app.ts";
import { Asking } from "./asking.ts";
import { figures, idList, lengthText, section } from "./blocks.ts";
import { button, h, type Child } from "./dom.ts";
import type { Page } from "./panel.ts";
import { pick } from "./pick.ts";
import { joined, remember } from "./place.ts";
import { count, t } from "./text.ts";
import type { Tool } from "./tools.ts";

export interface TraceAnswer {
  network: string;
  pipes: string[];
  length_m?: number;
  sources?: string[];
  features?: AnswerFeatures;
}

const TRACED = ["water_pipe", "sewer_pipe", "rain_pipe"];
const DIRECTIONS = ["up", "down", "connected"] as const;
type Direction = (typeof DIRECTIONS)[number];
const TITLES = { up: "traceUp", down: "traceDown", connected: "traceConnected" } as const;

export class TraceTool implements Tool {
  readonly id = "trace";
  readonly title = "trace";
  readonly short = "traceShort";
  readonly icon = "trace";
  readonly layers = TRACED;
  private from: { network: string; id: string } | null = null;
  private direction: Direction = "up";
  private readonly asking: Asking<TraceAnswer>;

  constructor(
    private readonly app: App,
    private readonly pickAgain: () => void,
  ) {
    this.asking = new Asking(() => app.panel.redraw(), () => void this.run());
  }

  prompt(): { text: string; hint: string } {
    return { text: t("tracePick"), hint: t("burstZoom") };
  }

  loginReason(): string {
    return t("traceNeedsLogin");
  }

  click(point: { x: number; y: number }): boolean {
    const pipe = pick(this.app.view, point, TRACED);
    if (!pipe) {
      this.app.say(t("noPipe"), "error");
      return false;
    }
    this.from = pipe;
    void this.run();
    return true;
  }

  restore([network, id, direction]: string[]): void {
    if (!network || !id) return;
    this.from = { network, id };
    if (DIRECTIONS.includes(direction as Direction)) this.direction = direction as Direction;
    void this.run();
  }

  private async run(): Promise<void> {
    const from = this.from;
    if (!from) return;
    this.app.showToday();
    this.app.panel.show(this.page);
    const inputs = { network: from.network, from: from.id, kind: "pipe", direction: this.direction, features: true };
    const answer = await this.asking.ask((signal) => execute<TraceAnswer>("trace", inputs, signal));
    if (!answer) return;
    this.draw();
    this.app.view.fit(answer.features?.features ?? []);
  }

  private draw(): void {
    const features = this.asking.answer?.features;
    this.app.view.overlay.show(features ?? null);
    this.app.view.overlay.select(features?.features.find((feature) => feature.properties.id === this.from?.id)?.geometry ?? null);
    remember({ open: this.from ? joined(["trace", this.from.network, this.from.id, this.direction]) : "", stuck: "" });
  }

  private clear(): void {
    this.asking.stop();
    this.from = null;
    this.draw();
  }

  private readonly page: Page = {
    kind: "analysis",
    closed: () => this.clear(),
    seenAgain: () => this.draw(),
    render: () => ({
      title: `${t("trace")} · ${this.from?.id ?? ""}`,
      body: [this.choice(), ...this.asking.waiting(), ...this.result()],
      actions: [button({ click: () => this.pickAgain() }, "trace", t("again")), button({ click: () => this.app.panel.close(this.page) }, "close", t("clear"))],
    }),
  };

  private choice(): HTMLElement {
    const option = (direction: Direction): HTMLElement =>
      h("label", {}, h("input", { type: "radio", name: "direction", checked: this.direction === direction, change: () => ((this.direction = direction), void this.run()) }), t(TITLES[direction]));
    return h("fieldset", { class: "directions" }, h("legend", {}, t("traceDirection")), ...DIRECTIONS.map(option));
  }

  private result(): Child[] {
    const answer = this.asking.answer;
    if (!answer) return [];
    const entries: Array<[string, string, string]> = [[t("tracePipes"), count(answer.pipes.length), "pipes"]];
    if (answer.length_m !== undefined) entries.push([t("traceLength"), lengthText(answer.length_m), "length"]);
    return [figures(entries), answer.sources?.length ? section(t("sources"), idList(answer.sources)) : null];
  }
}
