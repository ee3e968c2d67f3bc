/** The map itself: made once, restyled for the caller, the night and the date; looked at by every tool. */

import maplibregl, { type MapGeoJSONFeature, type PointLike, type StyleSpecification } from "maplibre-gl";
import "maplibre-gl/dist/maplibre-gl.css";
import workerUrl from "maplibre-gl/dist/maplibre-gl-csp-worker.js?url";

import { ROOT } from "./api.ts";
import { groupOf, layerOf, type Catalog } from "./catalog.ts";
import { h } from "./dom.ts";
import { Overlay, boundsOf } from "./overlay.ts";
import { authHeaders } from "./session.ts";
import { layerIdOf, readyStyle, withDate } from "./style.ts";

maplibregl.setWorkerUrl(new URL(workerUrl, document.baseURI).href);

const HIDDEN = "onemap.layers";

/** Room that panels take from the map's sides, in pixels. */
export type Padding = { top: number; right: number; bottom: number; left: number };

export class MapView {
  readonly map: maplibregl.Map;
  readonly overlay: Overlay;
  private catalog: Catalog | null = null;
  private style: StyleSpecification | null = null;
  private chosen: Record<string, boolean>;
  private night = false;
  date: string | null = null;
  /** The reader came with a place in the address (`#zoom/lat/lon`): he wants to see that, not the city's middle. */
  private readonly placed = /^#\d/.test(location.hash);
  padding: () => Padding = () => ({ top: 60, right: 60, bottom: 60, left: 60 });

  constructor(container: HTMLElement) {
    this.chosen = JSON.parse(localStorage.getItem(HIDDEN) ?? "{}");
    this.map = new maplibregl.Map({
      container,
      style: { version: 8, sources: {}, layers: [] },
      center: [117, 32],
      zoom: 12,
      maxZoom: 21,
      dragRotate: false,
      pitchWithRotate: false,
      attributionControl: false,
      hash: true,
      transformRequest: (url) => ({ url, headers: url.startsWith(ROOT) ? authHeaders() : {} }),
    });
    this.map.touchZoomRotate.disableRotation();
    this.map.addControl(new maplibregl.NavigationControl({ showCompass: false }), "bottom-right");
    this.map.addControl(new maplibregl.ScaleControl({ maxWidth: 120 }), "bottom-left");
    this.overlay = new Overlay(this.map);
  }

  /** Show the city of this catalogue in this style; the first time, go there. */
  open(catalog: Catalog, style: StyleSpecification): void {
    const first = this.catalog === null;
    this.catalog = catalog;
    this.style = style;
    if (first && !this.placed) this.map.jumpTo({ center: catalog.city.center, zoom: catalog.city.zoom });
    this.restyle();
  }

  private restyle(): void {
    if (!this.style || !this.catalog) return;
    const catalog = this.catalog;
    const style = readyStyle(this.style, {
      root: ROOT,
      night: this.night,
      date: this.date,
      groupOf: (id) => groupOf(catalog, id),
      visible: (id) => this.visible(id),
    });
    this.map.setStyle(style, { diff: false });
  }

  setNight(night: boolean): void {
    this.night = night;
    this.restyle();
  }

  /** Whether a layer is shown: as the reader chose, else as its definition says. */
  visible(layerId: string): boolean {
    const layer = this.catalog && layerOf(this.catalog, layerId);
    return this.chosen[layerId] ?? layer?.visible ?? layer?.style?.visible ?? true;
  }

  setVisible(layerIds: string[], on: boolean): void {
    for (const id of layerIds) this.chosen[id] = on;
    localStorage.setItem(HIDDEN, JSON.stringify(this.chosen));
    for (const layer of this.map.getStyle().layers) {
      if (layerIds.includes(layerIdOf(layer))) {
        this.map.setLayoutProperty(layer.id, "visibility", on ? "visible" : "none");
      }
    }
  }

  /** Show the city as on this day (YYYY-MM-DD), null for today. */
  setDate(date: string | null): void {
    this.date = date;
    for (const id of Object.keys(this.map.getStyle().sources)) {
      const source = this.map.getSource(id) as maplibregl.VectorTileSource | undefined;
      if (source?.type === "vector" && source.tiles) source.setTiles(source.tiles.map((url) => withDate(url, date)));
    }
  }

  /** What is drawn of the catalogue's layers within `tolerance` pixels of a point, each feature once, top first. */
  featuresAt(point: { x: number; y: number }, tolerance: number, layers?: string[]): MapGeoJSONFeature[] {
    const { x, y } = point;
    const box: [PointLike, PointLike] = [[x - tolerance, y - tolerance], [x + tolerance, y + tolerance]];
    const seen = new Set<string>();
    return this.map.queryRenderedFeatures(box).filter((feature) => {
      const layer = layerIdOf({ source: feature.source, "source-layer": feature.sourceLayer });
      if (["answer", "selected"].includes(feature.source) || (layers && !layers.includes(layer))) return false;
      const key = `${layer}/${idOf(feature)}`;
      return !seen.has(key) && !!seen.add(key);
    });
  }

  goTo(center: [number, number], zoom = 17): void {
    this.map.flyTo({ center, zoom: Math.max(zoom, this.map.getZoom()), padding: this.padding(), duration: 900 });
  }

  /** Look at all of these features. */
  fit(features: GeoJSON.Feature[]): void {
    const box = boundsOf(features);
    if (box) this.map.fitBounds(box, { padding: this.padding(), maxZoom: 17.5, duration: 900 });
  }

  marker(at: [number, number], element?: HTMLElement): maplibregl.Marker {
    return new maplibregl.Marker(element ? { element, anchor: "bottom" } : { color: "#0b62c4" }).setLngLat(at).addTo(this.map);
  }

  /** The map as it is now, as a PNG; waits for one frame, because the canvas is empty between frames. */
  picture(): Promise<string> {
    return new Promise((resolve) => {
      this.map.once("render", () => resolve(this.map.getCanvas().toDataURL("image/png")));
      this.map.triggerRepaint();
    });
  }
}

/** The id that the API knows a drawn feature by. */
export function idOf(feature: MapGeoJSONFeature): string {
  return String(feature.properties.id ?? feature.id ?? "");
}

/** The catalogue's layer of a drawn feature. */
export function layerOfFeature(feature: MapGeoJSONFeature): string {
  return feature.sourceLayer ?? feature.source;
}

/** Distance in pixels of a screen point from a drawn line or point. */
export function pixelDistance(map: maplibregl.Map, point: { x: number; y: number }, geometry: GeoJSON.Geometry): number {
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

/** The line under the map's edge that tells where the pointer is. */
export function coordinateReadout(map: maplibregl.Map): HTMLElement {
  const readout = h("div", { class: "coordinates", "aria-hidden": "true" });
  map.on("mousemove", ({ lngLat }) => {
    readout.textContent = `${lngLat.lng.toFixed(5)}, ${lngLat.lat.toFixed(5)}`;
  });
  map.on("mouseout", () => (readout.textContent = ""));
  return readout;
}
