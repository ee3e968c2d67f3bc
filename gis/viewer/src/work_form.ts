/** Enter a work for a burst: planned or urgent, from when until when. */

import { execute } from "./api.ts";
import type { WorkAnswer } from "./answers.ts";
import type { App } from "./app.ts";
import { Asking } from "./asking.ts";
import { choice } from "./blocks.ts";
import { button, h, type Child } from "./dom.ts";
import type { Page } from "./panel.ts";
import { t } from "./text.ts";
import { fieldTime, hoursAhead, moment } from "./times.ts";
import { WorkPage } from "./work_page.ts";

/** Where the work is: the network, the element by its kind, the valves that do not turn. */
export type WorkPlace = { network: string; stuck: string[]; pipe?: string; node?: string; valve?: string };

export class WorkForm implements Page {
  readonly kind = "detail" as const;
  private workKind: "emergency" | "planned" = "emergency";
  private title: string;
  private reason = "";
  private starts = fieldTime(new Date());
  private ends = fieldTime(hoursAhead(6));
  private wrong = "";
  private readonly asking: Asking<WorkAnswer>;

  constructor(
    private readonly app: App,
    private readonly place: WorkPlace,
  ) {
    this.asking = new Asking(() => app.panel.redraw());
    this.title = t("workTitleDefault", place.pipe ?? place.node ?? place.valve ?? "");
  }

  open(): void {
    this.app.panel.show(this);
  }

  closed(): void {
    this.asking.stop();
  }

  private async send(): Promise<void> {
    const [starts, ends] = [moment(this.starts), moment(this.ends)];
    this.wrong = !this.title.trim() ? t("workNeedsTitle") : !starts || !ends ? t("workNeedsTimes") : starts >= ends ? t("workEndsBefore") : "";
    if (this.wrong) return this.app.panel.redraw();
    const inputs = { action: "add", kind: this.workKind, title: this.title.trim(), reason: this.reason, ...this.place, starts, ends };
    const answer = await this.asking.ask((signal) => execute<WorkAnswer>("work-change", inputs, signal));
    if (!answer) return;
    this.app.panel.close(this);
    this.app.say(t("workAdded", answer.work.id));
    new WorkPage(this.app, answer.work.id).open();
  }

  render() {
    const field = (name: "title" | "reason" | "starts" | "ends", label: string, type: string): HTMLElement => {
      const input = h("input", { type, name, value: this[name], maxlength: name === "title" ? 200 : 1000, required: name !== "reason", input: () => (this[name] = input.value) });
      return h("label", { class: "field" }, h("span", {}, label), input);
    };
    const submit = (event: Event): void => {
      event.preventDefault();
      void this.send();
    };
    const kinds = choice("kind", t("workKind"), [["emergency", t("workEmergency")], ["planned", t("workPlanned")]], this.workKind, (kind) => {
      this.workKind = kind;
      this.app.panel.redraw();
    });
    const body: Child[] = [
      h(
        "form",
        { class: "form", id: "work-form", submit },
        kinds,
        field("title", t("workTitle"), "text"),
        h("div", { class: "two" }, field("starts", t("workStarts"), "datetime-local"), field("ends", t("workEnds"), "datetime-local")),
        field("reason", t("workReason"), "text"),
        h("p", { class: "form-error", role: "alert" }, this.wrong),
        ...this.asking.waiting(),
      ),
    ];
    const save = h("button", { type: "submit", class: "primary", form: "work-form", disabled: this.asking.busy }, t("workSave"));
    return { title: t("workAdd"), body, actions: [save, button({ click: () => this.app.panel.close(this) }, null, t("cancel"))] };
  }
}
