/** The answer of an analysis drawn over the map: closed and cut-off pipes, numbered valves, and what is selected. */

import type { GeoJSONSource, LayerSpecification, Map, PointLike } from "maplibre-gl";

import type { AnswerFeatures } from "./api.ts";
import { FONTS } from "./style.ts";

export const COLOURS: Record<string, string> = {
  closed: "#d5121e",
  cut_off: "#f07c00",
  trace: "#7a3ff2",
  valve_close: "#d5121e",
  valve_optional: "#5f7285",
  valve_already_closed: "#1f2d3a",
  valve_stuck: "#8a1cb0",
  valve_open: "#0a8f4d",
  hydrant: "#c2410c",
  source: "#0b62c4",
  burst: "#d5121e",
};

const EMPTY: AnswerFeatures = { type: "FeatureCollection", features: [] };
const LINES = ["==", ["geometry-type"], "LineString"];
const POINTS = ["==", ["geometry-type"], "Point"];
const BOLD = [["Noto Sans SC Bold", ...FONTS].join(",")];

function part(...names: string[]): any {
  return ["in", ["get", "part"], ["literal", names]];
}

function colourOfPart(): any {
  return ["match", ["get", "part"], ...Object.entries(COLOURS).flat(), "#7a3ff2"];
}

function widthAt(base: number): any {
  return ["interpolate", ["linear"], ["zoom"], 11, base * 0.6, 15, base, 18, base * 1.6];
}

function lines(): LayerSpecification[] {
  const round = { "line-cap": "round", "line-join": "round" } as const;
  const source = "answer";
  return [
    { id: "answer-casing", type: "line", source, filter: LINES as any, layout: round, paint: { "line-color": "#ffffff", "line-width": widthAt(9), "line-opacity": 0.9 } },
    // The cut-off part is dashed as well as orange: the two are told apart without colours too.
    { id: "answer-cut-off", type: "line", source, filter: ["all", LINES, part("cut_off")] as any, layout: { "line-join": "round" }, paint: { "line-color": COLOURS.cut_off, "line-width": widthAt(5.5), "line-dasharray": [2.2, 0.7] } },
    { id: "answer-line", type: "line", source, filter: ["all", LINES, ["!", part("cut_off")]] as any, layout: round, paint: { "line-color": colourOfPart(), "line-width": widthAt(6) } },
  ];
}

function symbolOf(): any {
  return [
    "match", ["get", "part"],
    "valve_close", ["to-string", ["coalesce", ["get", "order"], ""]],
    "valve_already_closed", "关",
    "valve_stuck", "×",
    "valve_optional", "可",
    "valve_open", "开",
    "hydrant", "栓",
    "source", "源",
    "burst", "!",
    "",
  ];
}

function radius(): any {
  const size = ["match", ["get", "part"], "valve_close", 13, "burst", 15, "valve_stuck", 12, "source", 12, "hydrant", 7, 9];
  return ["interpolate", ["linear"], ["zoom"], 11, ["*", 0.6, size], 14, size, 18, ["*", 1.15, size]];
}

const ACTED_ON = ["burst", "valve_close", "valve_stuck"];

/** Discs and their signs; drawn in two storeys, so that no hydrant's sign lies on the number of a valve that must be closed. */
function points(storey: "lower" | "upper"): LayerSpecification[] {
  const source = "answer";
  const acted = part(...ACTED_ON);
  const filter: any = ["all", POINTS, storey === "upper" ? acted : ["!", acted]];
  const rank: any = ["match", ["get", "part"], "burst", 9, "valve_close", 8, "valve_stuck", 7, "source", 6, "valve_already_closed", 4, "valve_optional", 3, 1];
  return [
    { id: `answer-${storey}`, type: "circle", source, filter, layout: { "circle-sort-key": rank }, paint: { "circle-radius": radius(), "circle-color": colourOfPart(), "circle-stroke-color": "#ffffff", "circle-stroke-width": 2 } },
    {
      id: `answer-${storey}-sign`, type: "symbol", source, filter,
      layout: {
        "text-field": symbolOf(), "text-font": BOLD, "text-allow-overlap": true, "text-ignore-placement": true, "symbol-sort-key": rank,
        "text-size": ["match", ["get", "part"], "valve_close", 14, "burst", 18, "hydrant", 9, 11] as any,
      },
      paint: { "text-color": "#ffffff" },
    },
  ];
}

function halo(): LayerSpecification {
  const filter: any = ["all", POINTS, part("burst")];
  return { id: "answer-halo", type: "circle", source: "answer", filter, paint: { "circle-radius": 30, "circle-color": COLOURS.burst, "circle-opacity": 0.22, "circle-blur": 0.3 } };
}

function selection(): LayerSpecification[] {
  const source = "selected";
  return [
    { id: "selected-fill", type: "fill", source, filter: ["==", ["geometry-type"], "Polygon"], paint: { "fill-color": "#ffd400", "fill-opacity": 0.25 } },
    { id: "selected-line", type: "line", source, filter: ["!=", ["geometry-type"], "Point"], layout: { "line-cap": "round", "line-join": "round" }, paint: { "line-color": "#ffc400", "line-width": widthAt(5), "line-opacity": 0.95 } },
    { id: "selected-point", type: "circle", source, filter: POINTS as any, paint: { "circle-radius": 17, "circle-color": "#ffd400", "circle-opacity": 0.25, "circle-stroke-color": "#ffb300", "circle-stroke-width": 3 } },
  ];
}

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
    [...lines(), ...selection(), halo(), ...points("lower"), ...points("upper")].forEach((layer) => this.map.addLayer(layer));
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

  /** What symbol of the answer lies at this point of the screen, or null. */
  symbolAt(point: PointLike): Record<string, unknown> | null {
    const layers = ["answer-upper", "answer-lower"].filter((id) => this.map.getLayer(id));
    return layers.length ? (this.map.queryRenderedFeatures(point, { layers })[0]?.properties ?? null) : null;
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
