/** The way of the crew: from the nearest depot over the valves to close, with times and addresses. */

import { execute } from "./api.ts";
import type { CrewRoute, CrewStop } from "./answers.ts";
import type { App } from "./app.ts";
import { Asking } from "./asking.ts";
import { choice, figures, idList, lengthText, section, strip } from "./blocks.ts";
import { csv, download } from "./csv.ts";
import { button, h, type Child } from "./dom.ts";
import type { Page } from "./panel.ts";
import { count, t } from "./text.ts";
import { minutesText } from "./times.ts";

/** Which valves: those of a burst, named by its element, or of a work. */
export type Task = { network: string } & ({ work: number } | ({ stuck: string[] } & Partial<Record<"pipe" | "node" | "valve" | "connection", string>>));

const EACH = "onemap.minutes";

export class CrewPage implements Page {
  readonly kind = "detail" as const;
  private order: CrewRoute["order"] = "closing";
  private minutes = Number(localStorage.getItem(EACH)) || 10;
  private readonly asking: Asking<CrewRoute>;

  constructor(
    private readonly app: App,
    private readonly task: Task,
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
  }

  private async ask(): Promise<void> {
    const inputs = { ...this.task, order: this.order, minutes_per_valve: this.minutes, features: true };
    const answer = await this.asking.ask((signal) => execute<CrewRoute>("crew-route", inputs, signal));
    if (!answer?.features) return;
    this.app.view.overlay.show(answer.features);
    this.app.view.fit(answer.features.features);
  }

  render() {
    const answer = this.asking.answer;
    const save = answer?.stops.length ? button({ click: () => this.save(answer) }, "download", t("downloadRoute")) : null;
    return { title: t("crew"), body: [this.settings(), ...this.asking.waiting(), ...(answer ? this.result(answer) : [])], actions: save ? [save] : undefined };
  }

  private settings(): HTMLElement {
    const minutes = h("input", {
      type: "number", name: "minutes", min: 0, max: 240, value: this.minutes, "aria-label": t("minutesPerValve"),
      change: () => {
        this.minutes = Math.min(240, Math.max(0, Number(minutes.value) || 0));
        localStorage.setItem(EACH, String(this.minutes));
        void this.ask();
      },
    });
    const order = choice("order", t("crewOrder"), [["closing", t("orderClosing")], ["quickest", t("orderQuickest")]], this.order, (value) => {
      this.order = value;
      void this.ask();
    });
    return h("div", { class: "settings" }, order, h("label", { class: "inline" }, t("minutesPerValve"), minutes));
  }

  private result(answer: CrewRoute): Child[] {
    const { depot, stops, remote, unreached } = answer;
    if (!stops.length && !unreached.length) return [strip("good", t("crewNobody", remote.join("、")))];
    return [
      depot && h("p", {}, t("crewFrom", depot.name ?? `${depot.lon.toFixed(5)}, ${depot.lat.toFixed(5)}`)),
      figures([
        [t("crewTotal"), minutesText(answer.total_s), "total"],
        [t("crewDrive"), `${lengthText(answer.drive_m)} · ${minutesText(answer.drive_s)}`, "drive"],
        [t("crewStops"), count(stops.length), "stops"],
      ]),
      unreached.length > 0 && strip("warning", t("crewUnreached"), idList(unreached)),
      section(t("crewInOrder"), h("ol", { class: "valves" }, ...stops.map((stop) => this.stop(stop)))),
      remote.length > 0 && section(t("crewRemote"), idList(remote)),
      h("p", { class: "muted small" }, t("crewAssumed", Math.round(answer.assumed.share_of_speed_limit * 100))),
    ];
  }

  private stop(stop: CrewStop): HTMLElement {
    const where = stop.address ? (stop.address_m! >= 1 ? t("nearAddress", stop.address, count(stop.address_m)) : stop.address) : stop.valve;
    return h(
      "li",
      { class: "valve", "data-stop": stop.valve },
      h(
        "button",
        { type: "button", class: "valve-main", "data-key": `stop-${stop.valve}`, title: t("locate"), click: () => this.app.view.goTo([stop.lon, stop.lat], 17.5) },
        h("span", { class: "number blue" }, stop.order),
        h("span", { class: "valve-text" }, h("span", { class: "where" }, where), h("span", { class: "valve-id" }, stop.valve), h("span", { class: "notes" }, h("span", { class: "chip" }, t("crewLeg", lengthText(stop.drive_m), minutesText(stop.drive_s))))),
        h("span", { class: "clock" }, `+${minutesText(stop.arrive_s)}`),
      ),
    );
  }

  private save(answer: CrewRoute): void {
    const head = [t("noticeNumber"), t("valve"), t("address"), t("longitude"), t("latitude"), t("crewDriveM"), t("crewArrive"), t("crewLeave")];
    const rows = answer.stops.map((stop) => [stop.order, stop.valve, stop.address ?? "", stop.lon, stop.lat, stop.drive_m, Math.round(stop.arrive_s / 60), Math.round(stop.leave_s / 60)]);
    download(`${t("crew")}.csv`, csv([head, ...rows]));
  }
}
