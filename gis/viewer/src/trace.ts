/** The trace tool: from a pipe upstream, downstream, or to everything connected. */

import { execute, type AnswerFeatures } from "./api.ts";
import type { App } from "./app.ts";
import { figures, idList, lengthText, section, strip, working } from "./blocks.ts";
import { button, h, type Child } from "./dom.ts";
import type { Page } from "./panel.ts";
import { pick, type Picked } from "./pick.ts";
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
  readonly layers = TRACED;
  private from: Picked | null = null;
  private direction: Direction = "up";
  private answer: TraceAnswer | null = null;
  private error: string | null = null;
  private pending: AbortController | null = null;

  constructor(
    private readonly app: App,
    private readonly pickAgain: () => void,
  ) {}

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

  private async run(): Promise<void> {
    if (!this.from) return;
    this.pending?.abort();
    const request = (this.pending = new AbortController());
    this.answer = null;
    this.error = null;
    this.app.showToday();
    this.app.panel.show(this.page);
    try {
      const inputs = { network: this.from.network, from: this.from.id, kind: "pipe", direction: this.direction, features: true };
      this.answer = await execute<TraceAnswer>("trace", inputs, request.signal);
      this.app.view.overlay.show(this.answer.features ?? null);
      const features = this.answer.features?.features ?? [];
      const start = features.find((feature) => feature.properties.id === this.from?.id);
      if (start) this.app.view.overlay.select(start.geometry);
      this.app.view.fit(features);
    } catch (error) {
      if (request.signal.aborted) return;
      this.error = (error as Error).message;
    }
    this.app.panel.redraw();
  }

  clear(): void {
    this.pending?.abort();
    this.from = null;
    this.answer = null;
    this.error = null;
    this.app.view.overlay.show(null);
    this.app.view.overlay.select(null);
  }

  private readonly page: Page = {
    kind: "analysis",
    closed: () => this.clear(),
    render: () => ({
      title: `${t("trace")} · ${this.from?.id ?? ""}`,
      body: [this.choice(), ...this.result()],
      actions: [button({ click: () => this.pickAgain() }, "trace", t("again")), button({ click: () => this.app.panel.close(this.page) }, "close", t("clear"))],
    }),
  };

  private choice(): HTMLElement {
    const option = (direction: Direction): HTMLElement =>
      h("label", {}, h("input", { type: "radio", name: "direction", checked: this.direction === direction, change: () => ((this.direction = direction), void this.run()) }), t(TITLES[direction]));
    return h("fieldset", { class: "directions" }, h("legend", {}, t("traceDirection")), ...DIRECTIONS.map(option));
  }

  private result(): Child[] {
    if (this.error) return [strip("danger", this.error)];
    if (!this.answer) return [working()];
    const { pipes, length_m, sources } = this.answer;
    const entries: Array<[string, string, string]> = [[t("tracePipes"), count(pipes.length), "pipes"]];
    if (length_m !== undefined) entries.push([t("traceLength"), lengthText(length_m), "length"]);
    return [figures(entries), sources?.length ? section(t("sources"), idList(sources)) : null];
  }
}
