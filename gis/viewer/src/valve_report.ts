/** Report what is known of a valve: open or shut, whether it turns, whether it can be reached. Confirmed before, undone after. */

import { execute, readItem } from "./api.ts";
import type { App } from "./app.ts";
import { Asking } from "./asking.ts";
import { choice, section, strip } from "./blocks.ts";
import { button, h, type Child } from "./dom.ts";
import type { Page } from "./panel.ts";
import { t } from "./text.ts";

type Live = "open" | "closed" | "unknown";

interface Known {
  geometry: GeoJSON.Geometry | null;
  live: Live;
  normal: string;
  operable: boolean;
  accessible: boolean;
}

interface Reported {
  changed: boolean;
  outdated: boolean;
}

/** What may be said of a valve; what is not said stays as it is. */
type Said = Partial<Pick<Known, "live" | "operable" | "accessible">>;

export class ValveReport implements Page {
  readonly kind = "detail" as const;
  private readonly reading: Asking<Known>;
  private readonly sending: Asking<Reported>;
  private said: Said = {};
  private reason = "";
  private sure = false;
  private before: Said | null = null;

  constructor(
    private readonly app: App,
    private readonly network: string,
    private readonly valve: string,
  ) {
    this.reading = new Asking(() => app.panel.redraw());
    this.sending = new Asking(() => app.panel.redraw());
  }

  async open(): Promise<void> {
    this.app.panel.show(this);
    await this.read();
  }

  closed(): void {
    this.reading.stop();
    this.sending.stop();
    this.app.view.overlay.select(null);
  }

  seenAgain(): void {
    this.app.view.overlay.select(this.reading.answer?.geometry ?? null);
  }

  private read(): Promise<Known | null> {
    return this.reading.ask(async (signal) => {
      const { properties, geometry } = await readItem("water_valve", `${this.network}:${this.valve}`, signal);
      this.app.view.overlay.select(geometry);
      return {
        geometry, live: (properties.live_status as Live | null) ?? "unknown", normal: String(properties.normal_status ?? ""),
        operable: properties.operable !== false, accessible: properties.accessible !== false,
      };
    });
  }

  /** What is said that is not so already. */
  private changes(): Said {
    const known = this.reading.answer;
    return known ? (Object.fromEntries(Object.entries(this.said).filter(([name, value]) => known[name as keyof Said] !== value)) as Said) : {};
  }

  private async send(said: Said, reason: string): Promise<void> {
    const known = this.reading.answer!;
    const before = Object.fromEntries(Object.keys(said).map((name) => [name, known[name as keyof Said]])) as Said;
    this.sure = false;
    const undoing = this.before !== null && said === this.before;
    const done = await this.sending.ask((signal) => execute<Reported>("valve-state", { network: this.network, valve: this.valve, ...said, reason }, signal));
    if (!done) return;
    this.before = undoing ? null : before;
    this.said = {};
    this.app.say(t(undoing ? "valveUndone" : "valveReported", this.valve));
    await this.read();
    this.app.valvesChanged();
  }

  render() {
    const known = this.reading.answer;
    const changes = this.changes();
    const any = Object.keys(changes).length > 0;
    const report = button({ class: "primary", "data-key": "report", disabled: !any || this.sending.busy, click: () => ((this.sure = true), this.app.panel.redraw()) }, null, t("valveReport"));
    return {
      title: `${t("valve")} ${this.valve}`,
      body: [...this.reading.waiting(), ...this.sending.waiting(), ...(known ? this.form(known, changes) : [])],
      actions: known && !this.sure ? [report, button({ click: () => this.app.panel.close(this) }, null, t("close"))] : undefined,
    };
  }

  private form(known: Known, changes: Said): Child[] {
    const say = (part: Said): void => {
      this.said = { ...this.said, ...part };
      this.sure = false;
      this.app.panel.redraw();
    };
    const now = { ...known, ...this.said };
    const yesNo = (name: "operable" | "accessible", yes: string, no: string): HTMLElement =>
      choice(name, t(name === "operable" ? "valveTurns" : "valveReach"), [["yes", yes], ["no", no]], now[name] ? "yes" : "no", (value) => say({ [name]: value === "yes" }));
    const reason = h("input", { type: "text", name: "reason", maxlength: 500, value: this.reason, placeholder: t("valveReasonHint"), input: () => (this.reason = reason.value) });
    return [
      this.before && strip("good", t("valveReported", this.valve), button({ class: "link", "data-key": "undo", click: () => void this.send(this.before!, t("valveUndoReason")) }, "back", t("undo"))),
      section(t("valveLive"), choice("live", t("valveLive"), [["open", t("valveOpen")], ["closed", t("valveShut")], ["unknown", t("valveUnknown", t(known.normal === "closed" ? "valveShut" : "valveOpen"))]], now.live, (live) => say({ live }))),
      section(t("valveTurns"), yesNo("operable", t("turnsYes"), t("turnsNo"))),
      section(t("valveReach"), yesNo("accessible", t("reachYes"), t("reachNo"))),
      h("label", { class: "field block" }, h("span", {}, t("valveReason")), reason),
      this.sure ? this.confirmation(changes) : h("p", { class: "muted small" }, t("valveReportHint")),
    ];
  }

  private confirmation(changes: Said): HTMLElement {
    const words = [
      changes.live && (changes.live === "unknown" ? t("valveUnknownShort") : t(changes.live === "open" ? "valveOpen" : "valveShut")),
      changes.operable !== undefined && t(changes.operable ? "turnsYes" : "turnsNo"),
      changes.accessible !== undefined && t(changes.accessible ? "reachYes" : "reachNo"),
    ].filter(Boolean) as string[];
    return strip(
      "warning",
      h("strong", {}, t("valveSure", this.valve, words.join("、"))),
      h("div", { class: "confirm" }, button({ class: "primary", "data-key": "sure", click: () => void this.send(changes, this.reason) }, null, t("yesDo")), button({ click: () => ((this.sure = false), this.app.panel.redraw()) }, null, t("noBack"))),
    );
  }
}
