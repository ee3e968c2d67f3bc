/** The answer of an analysis drawn over the map: closed and cut-off pipes, numbered valves, and what is selected. */

import type { GeoJSONSource, Map, PointLike } from "maplibre-gl";

import type { AnswerFeatures } from "./answers.ts";
import { overlayLayers } from "./overlay_layers.ts";

const EMPTY: AnswerFeatures = { type: "FeatureCollection", features: [] };

/** Draws on `map` and survives a change of style. */
export class Overlay {
  private answer: AnswerFeatures = EMPTY;
  private selected: GeoJSON.FeatureCollection = EMPTY;

  constructor(private readonly map: Map) {
    map.on("style.load", () => this.add());
  }

  private add(): void {
    if (this.map.getSource("answer")) return;
    this.map.addSource("answer", { type: "geojson", data: this.answer });
    this.map.addSource("selected", { type: "geojson", data: this.selected });
    overlayLayers().forEach((layer) => this.map.addLayer(layer));
  }

  /** Show these features of an answer; null clears them. */
  show(features: AnswerFeatures | null): void {
    this.answer = features ?? EMPTY;
    (this.map.getSource("answer") as GeoJSONSource | undefined)?.setData(this.answer);
  }

  /** Mark this geometry; null takes the mark away. */
  select(geometry: GeoJSON.Geometry | null): void {
    this.selected = geometry
      ? { type: "FeatureCollection", features: [{ type: "Feature", geometry, properties: {} }] }
      : EMPTY;
    (this.map.getSource("selected") as GeoJSONSource | undefined)?.setData(this.selected);
  }

  /** What of the answer lies at this point of the screen, symbols before lines, or null. */
  at(point: PointLike): Record<string, unknown> | null {
    for (const layers of [["answer-upper", "answer-lower"], ["answer-classed", "answer-line"]]) {
      const drawn = layers.filter((id) => this.map.getLayer(id));
      const found = drawn.length ? this.map.queryRenderedFeatures(point, { layers: drawn })[0] : undefined;
      if (found) return found.properties;
    }
    return null;
  }
}

/** West, south, east, north of features; null where they have no position. */
export function boundsOf(features: GeoJSON.Feature[]): [number, number, number, number] | null {
  let box: [number, number, number, number] | null = null;
  const visit = (part: any): void => {
    if (typeof part?.[0] === "number") {
      const [x, y] = part as [number, number];
      box = box ? [Math.min(box[0], x), Math.min(box[1], y), Math.max(box[2], x), Math.max(box[3], y)] : [x, y, x, y];
    } else if (Array.isArray(part)) part.forEach(visit);
  };
  for (const { geometry } of features) {
    if (geometry) visit(geometry.type === "GeometryCollection" ? [] : geometry.coordinates);
  }
  return box;
}
