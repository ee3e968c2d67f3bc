/** The burst book (爆管应急手册) as a job: by which areas, how many sheets, then the PDF. */

import type { App } from "./app.ts";
import { Asking } from "./asking.ts";
import { choice, strip } from "./blocks.ts";
import { button, h, type Child } from "./dom.ts";
import { progress } from "./job_progress.ts";
import { runJob, type JobState } from "./jobs.ts";
import type { Page } from "./panel.ts";
import { save, type Paper } from "./papers.ts";
import { count, t } from "./text.ts";
import type { Tool } from "./tools.ts";

interface Book {
  sheets: number;
  segments: number;
  pages: number;
  data_version: string;
  document: Paper;
}

export class BookTool implements Tool {
  readonly id = "book";
  readonly title = "book";
  readonly short = "book";
  readonly icon = "book";
  readonly layers = ["water_pipe"];
  readonly process = "burst-book";
  private by: "grid" | "zone" = "grid";
  private areas = "";
  private limit = "";
  private state: JobState | null = null;
  private begun = 0;
  private readonly asking: Asking<Book>;

  constructor(private readonly app: App) {
    this.asking = new Asking(() => app.panel.redraw());
  }

  loginReason(): string {
    return t("bookNeedsLogin");
  }

  begin(): void {
    this.app.panel.show(this.page);
  }

  private async make(): Promise<void> {
    this.state = null;
    this.begun = Date.now();
    const told = (state: JobState): void => {
      this.state = state;
      this.app.panel.redraw();
    };
    const areas = this.areas.split(/[,，、\s]+/).filter(Boolean);
    const limit = Number(this.limit);
    const inputs = { network: this.app.networks.current, by: this.by, ...(areas.length ? { areas } : {}), ...(limit > 0 ? { limit } : {}) };
    const answer = await this.asking.ask((signal) => runJob<Book>("burst-book", inputs, told, signal));
    if (answer) save(answer.document);
  }

  private readonly page: Page = {
    kind: "analysis",
    closed: () => this.asking.stop(),
    render: () => {
      const close = button({ click: () => this.app.panel.close(this.page) }, "close", t("close"));
      const make = button({ class: "primary", "data-key": "make", disabled: this.asking.busy, click: () => void this.make() }, "book", t("bookMake"));
      return { title: t("book"), body: [h("p", { class: "muted" }, t("bookHint")), this.settings(), ...this.result()], actions: [make, close] };
    },
  };

  private settings(): HTMLElement {
    const field = (name: "areas" | "limit", label: string, hint: string, type: string): HTMLElement => {
      const input = h("input", { type, name, value: this[name], placeholder: hint, min: 1, max: 60, input: () => (this[name] = input.value) });
      return h("label", { class: "field" }, h("span", {}, label), input);
    };
    const by = choice("by", t("bookBy"), [["grid", t("bookGrid")], ["zone", t("bookZone")]], this.by, (value) => {
      this.by = value;
      this.app.panel.redraw();
    });
    return h("div", { class: "form" }, by, field("areas", t("bookAreas"), t("bookAreasHint"), "text"), field("limit", t("bookLimit"), t("bookLimitHint"), "number"));
  }

  private result(): Child[] {
    const { answer, busy, error } = this.asking;
    if (busy) return [progress(this.state, this.begun, () => (this.asking.stop(), this.app.panel.redraw()))];
    if (error) return [strip("danger", error.message)];
    if (!answer) return [];
    return [strip("good", h("strong", {}, t("bookDone", count(answer.sheets), count(answer.pages))), h("div", {}, button({ class: "link", click: () => save(answer.document) }, "download", answer.document.name)))];
  }
}
