/** The outage notice (停水通知单) of a burst or a work: what the reader adds, then the sheet as it is printed, and the customers as lists. */

import { execute } from "./api.ts";
import type { App } from "./app.ts";
import { Asking } from "./asking.ts";
import { button, h, type Child } from "./dom.ts";
import type { Page } from "./panel.ts";
import { preview, save, type Paper } from "./papers.ts";
import { t } from "./text.ts";
import { fieldTime, hoursAhead, moment } from "./times.ts";

/** A work has its own times; a burst is named by its element. */
export type Cause = { work: number } | { network: string; stuck: string[]; pipe?: string; node?: string; valve?: string; connection?: string };
type Kind = "html" | "pdf" | "csv" | "xlsx";

const CONTACT = "onemap.contact";

export class NoticePage implements Page {
  readonly kind = "detail" as const;
  private reason = "";
  private contact = localStorage.getItem(CONTACT) ?? "";
  private number = "";
  private starts = fieldTime(new Date());
  private ends = fieldTime(hoursAhead(6));
  private wrong = "";
  private readonly asking: Asking<{ document: Paper }>;

  constructor(
    private readonly app: App,
    private readonly cause: Cause,
  ) {
    this.asking = new Asking(() => app.panel.redraw());
  }

  open(): void {
    this.app.panel.show(this);
  }

  closed(): void {
    this.asking.stop();
  }

  private inputs(): Record<string, unknown> | null {
    const said = { ...this.cause, reason: this.reason, contact: this.contact, number: this.number };
    if ("work" in this.cause) return said;
    const [starts, ends] = [moment(this.starts), moment(this.ends)];
    this.wrong = !starts || !ends ? t("workNeedsTimes") : starts >= ends ? t("workEndsBefore") : "";
    return this.wrong ? null : { ...said, starts, ends };
  }

  private async fetch(kind: Kind): Promise<Paper | null> {
    const inputs = this.inputs();
    if (!inputs) {
      this.app.panel.redraw();
      return null;
    }
    localStorage.setItem(CONTACT, this.contact);
    const answer = await this.asking.ask((signal) => execute<{ document: Paper }>("outage-notice", { ...inputs, document: kind }, signal));
    return answer?.document ?? null;
  }

  private async show(): Promise<void> {
    const paper = await this.fetch("html");
    if (paper) preview(t("notice"), paper.value, [this.keep("pdf", "PDF")]);
  }

  private keep(kind: Kind, label: string): HTMLElement {
    const get = async (): Promise<void> => {
      const paper = await this.fetch(kind);
      if (paper) save(paper);
    };
    return button({ "data-paper": kind, click: () => void get() }, "download", label);
  }

  render() {
    const field = (name: "reason" | "contact" | "number" | "starts" | "ends", label: string, hint: string, type = "text"): HTMLElement => {
      const input = h("input", { type, name, value: this[name], placeholder: hint, maxlength: name === "number" ? 60 : 1000, input: () => (this[name] = input.value) });
      return h("label", { class: "field" }, h("span", {}, label), input);
    };
    const submit = (event: Event): void => {
      event.preventDefault();
      void this.show();
    };
    const times = "work" in this.cause ? null : h("div", { class: "two" }, field("starts", t("workStarts"), "", "datetime-local"), field("ends", t("workEnds"), "", "datetime-local"));
    const body: Child[] = [
      h(
        "form",
        { class: "form", id: "notice-form", submit },
        times,
        field("reason", t("workReason"), t("noticeReasonHint")),
        field("contact", t("noticeContact"), t("noticeContactHint")),
        field("number", t("noticeNo"), t("noticeNoHint")),
        h("p", { class: "form-error", role: "alert" }, this.wrong),
        ...this.asking.waiting(),
      ),
      h("section", { class: "block" }, h("h3", {}, t("customerList")), h("div", { class: "steps" }, this.keep("csv", "CSV"), this.keep("xlsx", "Excel"))),
    ];
    const show = h("button", { type: "submit", class: "primary", form: "notice-form", disabled: this.asking.busy }, t("noticePreview"));
    return { title: t("notice"), body, actions: [show, this.keep("pdf", "PDF")] };
  }
}
