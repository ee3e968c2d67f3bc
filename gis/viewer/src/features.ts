/** Drawn features: what they are called, and how far a click was from them. */

import type { Map as MapLibre, MapGeoJSONFeature } from "maplibre-gl";

import { tableOf } from "./style.ts";

/** Network and own id from a feature id such as `city:P-17`; ids may hold colons themselves, networks do not. */
export function splitId(featureId: string): { network: string; id: string } {
  const colon = featureId.indexOf(":");
  return colon < 0 ? { network: "city", id: featureId } : { network: featureId.slice(0, colon), id: featureId.slice(colon + 1) };
}

/** The id that the API knows a drawn feature by. */
export function idOf(feature: MapGeoJSONFeature): string {
  return String(feature.properties.id ?? feature.id ?? "");
}

/** The catalogue's layer of a drawn feature. */
export function layerOfFeature(feature: MapGeoJSONFeature): string {
  return tableOf(feature.sourceLayer ?? feature.source);
}

/** Distance in pixels of a screen point from a drawn line or point. */
export function pixelDistance(map: MapLibre, point: { x: number; y: number }, geometry: GeoJSON.Geometry): number {
  let best = Infinity;
  const measure = (coordinates: any): void => {
    if (typeof coordinates[0] === "number") {
      const p = map.project(coordinates);
      best = Math.min(best, Math.hypot(p.x - point.x, p.y - point.y));
    } else if (typeof coordinates[0]?.[0] === "number") {
      const line = coordinates.map((c: [number, number]) => map.project(c));
      for (let i = 0; i + 1 < line.length; i++) best = Math.min(best, toSegment(point, line[i], line[i + 1]));
    } else coordinates.forEach(measure);
  };
  if (geometry.type !== "GeometryCollection") measure(geometry.coordinates);
  return best;
}

type XY = { x: number; y: number };

function toSegment(p: XY, a: XY, b: XY): number {
  const [dx, dy] = [b.x - a.x, b.y - a.y];
  const length2 = dx * dx + dy * dy;
  const along = length2 ? Math.max(0, Math.min(1, ((p.x - a.x) * dx + (p.y - a.y) * dy) / length2)) : 0;
  return Math.hypot(p.x - a.x - along * dx, p.y - a.y - along * dy);
}
