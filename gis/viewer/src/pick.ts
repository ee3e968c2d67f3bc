/** What of the water network a click means: the pipe, service line or valve nearest to it. */

import type { MapGeoJSONFeature } from "maplibre-gl";

import { idOf, layerOfFeature, pixelDistance, splitId } from "./features.ts";
import type { MapView } from "./map.ts";

export const WATER = ["water_pipe", "water_connection", "water_valve"];

/** A thing of a network: the feature id of network layers is `network:id`. */
export interface Picked {
  kind: "pipe" | "connection" | "valve";
  network: string;
  id: string;
}

const KINDS: Record<string, Picked["kind"]> = {
  water_pipe: "pipe", sewer_pipe: "pipe", rain_pipe: "pipe", water_connection: "connection", water_valve: "valve",
};

/** Networks that are a layer of their own: their features' ids carry no network. */
const GRAVITY: Record<string, string> = { sewer_pipe: "sewer", rain_pipe: "rain" };

export function pickedOf(layer: string, featureId: string): Picked {
  const network = GRAVITY[layer];
  return { kind: KINDS[layer], ...(network ? { network, id: featureId } : splitId(featureId)) };
}

/** The nearest of `layers` within reach of a point of the screen; a pipe that is hit well beats what hangs on it. */
export function pick(view: MapView, point: { x: number; y: number }, layers: string[], reach = 14): Picked | null {
  const distance = (feature: MapGeoJSONFeature): number => pixelDistance(view.map, point, feature.geometry);
  const near = view
    .featuresAt(point, reach, layers)
    .map((feature) => ({ feature, layer: layerOfFeature(feature), d: distance(feature) }))
    .filter(({ d }) => d <= reach)
    .sort((a, b) => a.d - b.d);
  const best = near.find(({ layer, d }) => KINDS[layer] === "pipe" && d <= 5) ?? near[0];
  return best ? pickedOf(best.layer, idOf(best.feature)) : null;
}
