/** How answers look on the map: the layers over everything else, by the part that each feature plays. */

import type { LayerSpecification } from "maplibre-gl";

import { FONTS } from "./style.ts";

export const COLOURS: Record<string, string> = {
  closed: "#d5121e",
  cut_off: "#f07c00",
  extra: "#a3139b",
  trace: "#7a3ff2",
  leg: "#0b62c4",
  valve_close: "#d5121e",
  valve_optional: "#5f7285",
  valve_already_closed: "#1f2d3a",
  valve_stuck: "#8a1cb0",
  valve_feed: "#0a8f4d",
  hydrant: "#c2410c",
  source: "#0b62c4",
  burst: "#d5121e",
  stop: "#0b62c4",
  depot: "#0f3557",
  // Pressures: what is worst is darkest, and no two differ in hue only.
  fell_below: "#d5121e",
  low: "#f0a020",
  served: "#2f9e62",
  dry: "#5f7285",
  error: "#d5121e",
  warning: "#f07c00",
  info: "#0b62c4",
};

const LINES = ["==", ["geometry-type"], "LineString"];
const POINTS = ["==", ["geometry-type"], "Point"];
const BOLD = [["Noto Sans SC Bold", ...FONTS].join(",")];

/** Parts that are many and stand for a class each: drawn without a white edge. */
const CLASSED = ["segment", "valve"];
const PRESSURES = ["low", "served", "dry", "cut_off"];

function part(...names: string[]): any {
  return ["in", ["get", "part"], ["literal", names]];
}

function not(condition: any): any {
  return ["!", condition];
}

/** A feature's own colour where the answer gives it one, else that of its part. */
function colour(): any {
  return ["coalesce", ["get", "color"], ["match", ["get", "part"], ...Object.entries(COLOURS).flat(), "#7a3ff2"]];
}

function widthAt(base: number): any {
  return ["interpolate", ["linear"], ["zoom"], 11, base * 0.6, 15, base, 18, base * 1.6];
}

function lines(): LayerSpecification[] {
  const round = { "line-cap": "round", "line-join": "round" } as const;
  const source = "answer";
  const is = (...conditions: any[]): any => ["all", LINES, ...conditions];
  const dashes = (id: string, name: string, pattern: number[]): LayerSpecification => ({
    id, type: "line", source, filter: is(part(name)), layout: { "line-join": "round" },
    paint: { "line-color": COLOURS[name], "line-width": widthAt(5.5), "line-dasharray": pattern },
  });
  return [
    // What a stuck valve adds has a violet edge, the colour of the stuck valve itself.
    { id: "answer-added", type: "line", source, filter: is(["==", ["get", "added"], true]), layout: round, paint: { "line-color": COLOURS.valve_stuck, "line-width": widthAt(15), "line-opacity": 0.75 } },
    { id: "answer-casing", type: "line", source, filter: is(not(part(...CLASSED))), layout: round, paint: { "line-color": "#ffffff", "line-width": widthAt(9), "line-opacity": 0.9 } },
    // The darkest class is seen on a dark map too.
    { id: "answer-classed-casing", type: "line", source, filter: is(part("segment")), layout: round, paint: { "line-color": "#ffffff", "line-width": widthAt(6.5), "line-opacity": 0.75 } },
    { id: "answer-classed", type: "line", source, filter: is(part(...CLASSED)), layout: { ...round, "line-sort-key": ["coalesce", ["get", "class"], 0] }, paint: { "line-color": colour(), "line-width": widthAt(4.5) } },
    // Cut-off parts are dashed as well as coloured: they are told apart without colours too.
    dashes("answer-cut-off", "cut_off", [2.2, 0.7]),
    dashes("answer-extra", "extra", [0.9, 0.6]),
    { id: "answer-line", type: "line", source, filter: is(not(part("cut_off", "extra", ...CLASSED))), layout: round, paint: { "line-color": colour(), "line-width": widthAt(6) } },
    { id: "answer-arrow", type: "symbol", source, filter: is(part("leg")), layout: { "symbol-placement": "line", "symbol-spacing": 90, "text-field": "›", "text-size": 22, "text-font": BOLD, "text-keep-upright": false, "text-allow-overlap": true }, paint: { "text-color": "#ffffff" } },
  ];
}

function symbolOf(): any {
  const number: any = ["to-string", ["coalesce", ["get", "order"], ""]];
  return [
    "match", ["get", "part"],
    "valve_close", number,
    "stop", number,
    "valve_already_closed", "关",
    "valve_stuck", "×",
    "valve_optional", "可",
    "valve_feed", "开",
    "hydrant", "栓",
    "source", "源",
    "depot", "站",
    "burst", "!",
    "",
  ];
}

function radius(): any {
  const size = ["match", ["get", "part"], "valve_close", 13, "stop", 13, "depot", 14, "burst", 15, "valve_stuck", 12, "source", 12, "hydrant", 7, "fell_below", 8, PRESSURES, 6, "valve", 5.5, 9];
  return ["interpolate", ["linear"], ["zoom"], 11, ["*", 0.6, size], 14, size, 18, ["*", 1.15, size]];
}

const ACTED_ON = ["burst", "valve_close", "valve_stuck", "stop", "depot"];

/** Discs and their signs; drawn in two storeys, so that no hydrant's sign lies on the number of a valve that must be closed. */
function points(storey: "lower" | "upper"): LayerSpecification[] {
  const source = "answer";
  const acted = part(...ACTED_ON);
  const filter: any = ["all", POINTS, storey === "upper" ? acted : not(acted)];
  const first: any = ["-", 900, ["coalesce", ["get", "order"], 0]];
  const rank: any = ["match", ["get", "part"], "burst", 1000, ["valve_close", "stop"], first, "valve_stuck", 7, "source", 6, "fell_below", 5, "valve_already_closed", 4, "valve_optional", 3, "low", 2, "valve", ["coalesce", ["get", "class"], 0], 1];
  const small: any = ["match", ["get", "part"], [...PRESSURES, "fell_below", "valve"], 1, 2];
  const edge: any = ["case", ["==", ["get", "added"], true], COLOURS.valve_stuck, "#ffffff"];
  const wide: any = ["case", ["==", ["get", "added"], true], 4, small];
  return [
    { id: `answer-${storey}`, type: "circle", source, filter, layout: { "circle-sort-key": rank }, paint: { "circle-radius": radius(), "circle-color": colour(), "circle-stroke-color": edge, "circle-stroke-width": wide } },
    {
      id: `answer-${storey}-sign`, type: "symbol", source, filter,
      layout: {
        // Valves stand close together at a junction: where one disc covers another, the first to close shows its number, until one zooms in.
        "text-field": symbolOf(), "text-font": BOLD, "text-allow-overlap": storey === "lower", "text-ignore-placement": storey === "lower", "text-padding": 1,
        "symbol-sort-key": ["-", 0, rank],
        "text-size": ["match", ["get", "part"], ["valve_close", "stop"], 14, "burst", 18, "hydrant", 9, 11] as any,
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

/** The layers of an answer and of what is selected, the lowest first. */
export function overlayLayers(): LayerSpecification[] {
  return [...lines(), ...selection(), halo(), ...points("lower"), ...points("upper")];
}
