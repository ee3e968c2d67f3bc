/** Enter a work for a burst, planned or urgent, from when until when; or change one that is entered. */

import { execute } from "./api.ts";
import type { Work, WorkAnswer } from "./answers.ts";
import type { App } from "./app.ts";
import { Asking } from "./asking.ts";
import { choice } from "./blocks.ts";
import { button, h, type Child } from "./dom.ts";
import type { Page } from "./panel.ts";
import { t } from "./text.ts";
import { fieldTime, hoursAhead, moment } from "./times.ts";

/** Where the work is: the network, the element by its kind, the valves that do not turn. */
export type WorkPlace = { network: string; stuck: string[] } & Partial<Record<"pipe" | "node" | "valve" | "connection", string>>;

export class WorkForm implements Page {
  readonly kind = "detail" as const;
  private workKind: Work["kind"] = "emergency";
  private title: string;
  private reason = "";
  private starts = fieldTime(new Date());
  private ends = fieldTime(hoursAhead(6));
  private atOnce = false;
  private wrong = "";
  private readonly asking: Asking<WorkAnswer>;

  /** `about`: where a new work is, or the work to change. `done` gets what came of it. */
  constructor(
    private readonly app: App,
    private readonly about: WorkPlace | Work,
    private readonly done: (answer: WorkAnswer) => void,
  ) {
    this.asking = new Asking(() => app.panel.redraw());
    if ("id" in about) {
      [this.title, this.reason, this.workKind] = [about.title, about.reason, about.kind];
      [this.starts, this.ends] = [fieldTime(new Date(about.starts)), fieldTime(new Date(about.ends))];
    } else this.title = t("workTitleDefault", about.pipe ?? about.node ?? about.valve ?? about.connection ?? "");
  }

  open(): void {
    this.app.panel.show(this);
  }

  closed(): void {
    this.asking.stop();
  }

  private inputs(): object {
    const said = { title: this.title.trim(), reason: this.reason, starts: moment(this.starts), ends: moment(this.ends) };
    if ("id" in this.about) return { action: "change", work: this.about.id, ...said };
    const urgent = this.workKind === "emergency" && this.atOnce;
    return urgent ? { action: "emergency", ...this.about, ...said, starts: new Date().toISOString() } : { action: "add", kind: this.workKind, ...this.about, ...said };
  }

  private async send(): Promise<void> {
    const [starts, ends] = [moment(this.starts), moment(this.ends)];
    this.wrong = !this.title.trim() ? t("workNeedsTitle") : !starts || !ends ? t("workNeedsTimes") : starts >= ends ? t("workEndsBefore") : "";
    if (this.wrong) return this.app.panel.redraw();
    const answer = await this.asking.ask((signal) => execute<WorkAnswer>("work-change", this.inputs(), signal));
    if (!answer) return;
    this.app.panel.close(this);
    this.done(answer);
  }

  render() {
    const field = (name: "title" | "reason" | "starts" | "ends", label: string, type: string): HTMLElement => {
      const input = h("input", { type, name, value: this[name], maxlength: name === "title" ? 200 : 1000, input: () => (this[name] = input.value) });
      return h("label", { class: "field" }, h("span", {}, label), input);
    };
    const submit = (event: Event): void => {
      event.preventDefault();
      void this.send();
    };
    const fresh = !("id" in this.about);
    const body: Child[] = [
      h(
        "form",
        { class: "form", id: "work-form", submit },
        fresh && this.kinds(),
        field("title", t("workTitle"), "text"),
        h("div", { class: "two" }, !(fresh && this.atOnce) && field("starts", t("workStarts"), "datetime-local"), field("ends", t("workEnds"), "datetime-local")),
        field("reason", t("workReason"), "text"),
        fresh && this.workKind === "emergency" && this.now(),
        h("p", { class: "form-error", role: "alert" }, this.wrong),
        ...this.asking.waiting(),
      ),
    ];
    const save = h("button", { type: "submit", class: "primary", form: "work-form", disabled: this.asking.busy }, t(fresh ? "workSave" : "workKeep"));
    return { title: t(fresh ? "workAdd" : "workChange"), body, actions: [save, button({ click: () => this.app.panel.close(this) }, null, t("cancel"))] };
  }

  private kinds(): HTMLElement {
    return choice("kind", t("workKind"), [["emergency", t("workEmergency")], ["planned", t("workPlanned")]], this.workKind, (kind) => {
      this.workKind = kind;
      this.atOnce &&= kind === "emergency";
      this.app.panel.redraw();
    });
  }

  private now(): HTMLElement {
    const box = h("input", {
      type: "checkbox", name: "now", checked: this.atOnce,
      change: () => {
        this.atOnce = box.checked;
        this.app.panel.redraw();
      },
    });
    return h("label", { class: "check" }, box, h("span", {}, t("workNow")));
  }
}
