/** What is wrong in a network's data: findings by code with their level and remedy, on the map and in a list. */

import { execute } from "./api.ts";
import type { AnswerFeatures, Quality, QualityFinding } from "./answers.ts";
import type { App } from "./app.ts";
import { Asking } from "./asking.ts";
import { strip } from "./blocks.ts";
import { csv, download } from "./csv.ts";
import { button, h, icon, type Child } from "./dom.ts";
import { runJob } from "./jobs.ts";
import { COLOURS } from "./overlay_layers.ts";
import type { Page } from "./panel.ts";
import { joined, remember } from "./place.ts";
import { count, t, titleOf, type TextKey } from "./text.ts";
import type { Tool } from "./tools.ts";

const LEVELS: Record<string, TextKey> = { error: "levelError", warning: "levelWarning", info: "levelInfo" };
const ORDER = ["error", "warning", "info"];
const LISTED = 100;

type Found = GeoJSON.Feature<GeoJSON.Geometry | null, QualityFinding>;

export class QualityTool implements Tool {
  readonly id = "quality";
  readonly title = "quality";
  readonly short = "quality";
  readonly icon = "check";
  readonly layers = ["water_pipe"];
  readonly process = "network-quality";
  private readonly asking: Asking<Quality>;
  private unfolded: string | null = null;
  private chosen = -1;

  constructor(private readonly app: App) {
    this.asking = new Asking(() => app.panel.redraw(), () => void this.ask());
  }

  loginReason(): string {
    return t("qualityNeedsLogin");
  }

  begin(): void {
    this.app.panel.show(this.page);
    remember({ open: joined(["quality"]), stuck: "" });
    void this.ask();
  }

  restore(): void {
    this.begin();
  }

  private async ask(): Promise<void> {
    this.chosen = -1;
    const network = this.app.networks.current;
    const answer = await this.asking.ask((signal) =>
      // Of a large network the check takes longer than a request may.
      this.app.networks.large ? runJob<Quality>("network-quality", { network }, () => undefined, signal) : execute<Quality>("network-quality", { network }, signal),
    );
    if (!answer) return;
    this.draw();
    const drawn = this.found().filter(({ geometry }) => geometry) as GeoJSON.Feature[];
    if (drawn.length) this.app.view.fit(drawn);
  }

  private found(): Found[] {
    return this.asking.answer?.features?.features ?? [];
  }

  private draw(): void {
    const features = this.found().flatMap((one, place) => {
      const { geometry, properties } = one;
      return geometry ? [{ type: "Feature" as const, geometry, properties: { ...properties, part: properties.level, place } }] : [];
    });
    this.app.view.overlay.show({ type: "FeatureCollection", features } as AnswerFeatures);
    this.app.view.overlay.select(this.found()[this.chosen]?.geometry ?? null);
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
      const answer = this.asking.answer;
      const save = answer?.findings ? button({ click: () => this.save(answer) }, "download", t("downloadFindings")) : null;
      return { title: t("quality"), body: [...this.asking.waiting(), ...(answer ? this.result(answer) : [])], actions: [save, button({ click: () => this.app.panel.close(this.page) }, "close", t("clear"))] };
    },
  };

  private result(answer: Quality): Child[] {
    if (!answer.findings) return [strip("good", t("qualityGood"))];
    const codes = Object.keys(answer.counts).sort((a, b) => ORDER.indexOf(answer.meanings[a].level) - ORDER.indexOf(answer.meanings[b].level) || a.localeCompare(b));
    return [
      h("p", { class: "verdict" }, t("qualityN", count(answer.findings))),
      ...codes.map((code) => this.code(answer, code)),
      h("p", { class: "muted small" }, t("dataVersionOnly", answer.data_version)),
    ];
  }

  private code(answer: Quality, code: string): HTMLElement {
    const { level, remedy, ...title } = answer.meanings[code];
    const own = this.found().map((one, place) => ({ one, place })).filter(({ one }) => one.properties.code === code);
    const details = h(
      "details",
      { class: "block finding", "data-code": code, open: this.unfolded === code || Object.keys(answer.counts).length === 1 },
      h("summary", {}, h("span", { class: "disc", style: `--stroke:${COLOURS[level]}` }), h("span", { class: "finding-title" }, h("b", {}, code), ` ${titleOf(title)}`, h("span", { class: `chip ${level === "error" ? "bad" : ""}` }, t(LEVELS[level] ?? "levelInfo"))), h("span", { class: "badge" }, count(answer.counts[code])), icon("chevron")),
      remedy && h("p", { class: "remedy" }, h("b", {}, t("remedy")), titleOf(remedy)),
      h("ul", { class: "valves" }, ...own.slice(0, LISTED).map(({ one, place }) => this.row(one, place))),
      own.length > LISTED && h("p", { class: "muted small" }, t("andMore", count(own.length - LISTED))),
    );
    details.addEventListener("toggle", () => {
      if (details.open) this.unfolded = code;
      else if (this.unfolded === code) this.unfolded = null;
    });
    return details;
  }

  private row({ properties, geometry }: Found, place: number): HTMLElement {
    const notes = [properties.other && t("withOther", properties.other), properties.n > 1 && t("nPipes", count(properties.n)), properties.distance_m !== null && `${properties.distance_m.toFixed(2)} ${t("metres")}`].filter(Boolean);
    return h(
      "li",
      { class: place === this.chosen ? "valve highlighted" : "valve", "data-finding": place },
      h("button", { type: "button", class: "valve-main", "data-key": `finding-${place}`, disabled: !geometry, title: t("locate"), click: () => this.look(place) }, h("span", { class: "valve-text" }, h("span", { class: "where" }, properties.id), h("span", { class: "valve-id" }, notes.join(" · ")))),
    );
  }

  private look(place: number): void {
    this.chosen = place;
    const geometry = this.found()[place]?.geometry;
    this.app.view.overlay.select(geometry ?? null);
    if (geometry) this.app.view.fit([{ type: "Feature", geometry, properties: {} }]);
    this.app.panel.redraw();
  }

  /** A click on a drawn finding opens its code and marks it in the list. */
  pickedSymbol(properties: Record<string, unknown>): boolean {
    const place = Number(properties.place);
    const found = this.found()[place];
    if (!found || properties.part !== found.properties.level) return false;
    this.unfolded = found.properties.code;
    this.chosen = place;
    this.app.view.overlay.select(found.geometry);
    this.app.panel.redraw();
    this.app.panel.element.querySelector(".highlighted")?.scrollIntoView({ block: "center" });
    return true;
  }

  private save(answer: Quality): void {
    const head = [t("findingCode"), t("findingLevel"), t("findingMeaning"), t("layers"), t("id"), t("findingOther"), t("findingDistance")];
    const rows = this.found().map(({ properties: p }) => [p.code, t(LEVELS[p.level] ?? "levelInfo"), titleOf(answer.meanings[p.code]), p.layer, p.id, p.other ?? "", p.distance_m ?? ""]);
    download(`${t("quality")}_${answer.network}.csv`, csv([head, ...rows]));
  }
}
