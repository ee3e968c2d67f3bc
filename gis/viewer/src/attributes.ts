/** A click on the map: the attributes of what lies there, or a list to choose from. */

import type { MapGeoJSONFeature } from "maplibre-gl";

import { readHistory, readItem, RequestError, type Version } from "./api.ts";
import type { App } from "./app.ts";
import { attributeRows, featureName, layerOf } from "./catalog.ts";
import { button, h, icon, type Child } from "./dom.ts";
import { boundsOf } from "./overlay.ts";
import { idOf, layerOfFeature } from "./features.ts";
import { historyBlock } from "./history.ts";
import { t, titleOf } from "./text.ts";

interface Shown {
  layer: string;
  id: string;
  properties: Record<string, unknown>;
  geometry: GeoJSON.Geometry;
}

const LIMIT = 30;

/** Called with the pipe's layer and id when the reader asks for a burst on what he looks at. */
export type BurstHere = (layer: string, id: string) => void;

export class Attributes {
  private found: Shown[] = [];
  private chosen: Shown | null = null;
  /** Its versions once they were asked for; a text where they did not come. */
  private versions: Version[] | string | null = null;
  private pending: AbortController | null = null;

  constructor(
    private readonly app: App,
    private readonly burstHere: BurstHere,
    private readonly reportValve: (id: string) => void,
  ) {}

  /** Whether a thing, and not only an area around it, lies at this point of the screen. */
  hits(point: { x: number; y: number }): boolean {
    return this.app.view.featuresAt(point, 2).some((feature) => !AREAS.has(layerOfFeature(feature)));
  }

  /** Show what lies at this point of the screen; nothing there closes what was shown. */
  at(point: { x: number; y: number }): void {
    const features = this.app.view.featuresAt(point, 6).filter((feature) => layerOf(this.app.catalog(), layerOfFeature(feature)));
    this.found = withoutBackground(features).slice(0, LIMIT).map(shown);
    if (!this.found.length) return this.app.panel.close(this.page);
    this.app.panel.show(this.page);
    this.choose(this.found.length === 1 ? this.found[0] : null);
  }

  private readonly page = {
    kind: "attributes" as const,
    render: () => (this.chosen ? this.one(this.chosen) : this.list()),
    closed: () => {
      this.pending?.abort();
      this.chosen = null;
      this.app.view.overlay.select(null);
    },
  };

  private choose(feature: Shown | null): void {
    this.pending?.abort();
    this.chosen = feature;
    this.versions = null;
    this.app.view.overlay.select(feature?.geometry ?? null);
    this.app.panel.redraw();
    if (feature) void this.complete(feature);
  }

  /** Tiles carry a few columns and clipped lines; the item has all of both. */
  private async complete(feature: Shown): Promise<void> {
    this.pending = new AbortController();
    try {
      const item = await readItem(feature.layer, feature.id, this.pending.signal);
      feature.properties = { ...feature.properties, ...item.properties };
      feature.geometry = item.geometry ?? feature.geometry;
    } catch {
      return; // What the tile said stays on show.
    }
    if (this.chosen !== feature) return;
    this.app.view.overlay.select(feature.geometry);
    this.app.panel.redraw();
  }

  private async showHistory(feature: Shown): Promise<void> {
    try {
      this.versions = await readHistory(feature.layer, feature.id, this.pending?.signal);
    } catch (error) {
      if (!(error instanceof RequestError)) return; // another feature was chosen meanwhile
      this.versions = error.message;
    }
    if (this.chosen !== feature) return;
    this.app.panel.redraw();
    this.app.panel.element.querySelector(".history")?.scrollIntoView({ block: "start" });
  }

  private one(feature: Shown): { title: string; body: Child[]; actions: Child[] } {
    const layer = layerOf(this.app.catalog(), feature.layer);
    const rows = attributeRows(layer, feature.properties);
    const back = button({ class: "link", click: () => this.choose(null) }, "back", t("backToList"));
    const table = h("table", { class: "attributes" }, h("tbody", {}, ...rows.map((row) => h("tr", { "data-field": row.name }, h("th", { scope: "row" }, row.title), h("td", {}, row.text)))));
    const burst = ["water_pipe", "water_connection"].includes(feature.layer);
    return {
      title: titleOf(layer?.title, feature.layer),
      body: [this.found.length > 1 && back, rows.length ? table : h("p", { class: "muted" }, t("noAttributes")), this.versions && historyBlock(layer, this.versions)],
      actions: [
        feature.layer === "water_valve" && this.app.may("valve-state") && button({ class: "primary", "data-action": "report", click: () => this.reportValve(feature.id) }, "valve", t("valveReport")),
        burst && button({ class: "danger", click: () => this.burstHere(feature.layer, feature.id) }, "burst", t("burstHere")),
        button({ click: () => this.look(feature) }, "target", t("locate")),
        !this.versions && button({ "data-action": "history", click: () => void this.showHistory(feature) }, "calendar", t("history")),
      ],
    };
  }

  private look(feature: Shown): void {
    const box = boundsOf([{ type: "Feature", geometry: feature.geometry, properties: {} }]);
    if (box) this.app.view.fit([{ type: "Feature", geometry: feature.geometry, properties: {} }]);
  }

  private list(): { title: string; body: Child[] } {
    const rows = this.found.map((feature) => {
      const layer = layerOf(this.app.catalog(), feature.layer);
      const choose = h(
        "button",
        {
          type: "button",
          click: () => this.choose(feature),
          mouseenter: () => this.app.view.overlay.select(feature.geometry),
        },
        h("span", { class: "choice-layer" }, titleOf(layer?.title, feature.layer)),
        h("span", { class: "choice-name" }, featureName(feature.properties, feature.id)),
        icon("chevron"),
      );
      return h("li", {}, choose);
    });
    return { title: t("attributes"), body: [h("p", { class: "muted" }, t("chooseFeature", this.found.length)), h("ul", { class: "choices" }, ...rows)] };
  }
}

function shown(feature: MapGeoJSONFeature): Shown {
  return { layer: layerOfFeature(feature), id: idOf(feature), properties: feature.properties, geometry: feature.geometry };
}

const AREAS = new Set(["admin_area", "community", "grid_cell", "parcel", "water_body"]);

/** A pipe or a building is what was meant, not the district it lies in: areas count only where nothing else is. */
function withoutBackground(features: MapGeoJSONFeature[]): MapGeoJSONFeature[] {
  const things = features.filter((feature) => !AREAS.has(layerOfFeature(feature)));
  return things.length ? things : features;
}
