/** The map itself: made once, restyled for the caller, the night and the date; looked at by every tool. */

import maplibregl, { type MapGeoJSONFeature, type PointLike, type RequestParameters, type StyleSpecification } from "maplibre-gl";
import "maplibre-gl/dist/maplibre-gl.css";
import workerUrl from "maplibre-gl/dist/maplibre-gl-csp-worker.js?url";

import { ROOT } from "./api.ts";
import { groupOf, layerOf, type Catalog } from "./catalog.ts";
import { h } from "./dom.ts";
import { idOf } from "./features.ts";
import { Overlay, boundsOf } from "./overlay.ts";
import { renewed } from "./place.ts";
import { authHeaders } from "./session.ts";
import { layerIdOf, ofNetwork, readyStyle, withDate } from "./style.ts";
import { onLanguage, t } from "./text.ts";

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
  /** The reader came with a place in the address (`#map=zoom/lat/lon`): he wants to see that, not the city's middle. */
  private readonly placed = /[#&]map=\d/.test(renewed(location.hash));
  private network: string | null = null;
  padding: () => Padding = () => ({ top: 60, right: 60, bottom: 60, left: 60 });

  constructor(container: HTMLElement) {
    if (renewed(location.hash) !== location.hash) history.replaceState(history.state, "", renewed(location.hash));
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
      hash: "map",
      // Without ambient credentials: else the browser opens its own password box over the map when the log-in runs out.
      transformRequest: (url) => ({ url, headers: url.startsWith(ROOT) ? authHeaders() : {}, credentials: "omit" }) as unknown as RequestParameters,
    });
    this.map.touchZoomRotate.disableRotation();
    this.map.addControl(new maplibregl.NavigationControl({ showCompass: false }), "bottom-right");
    this.map.addControl(new maplibregl.ScaleControl({ maxWidth: 120 }), "bottom-left");
    this.overlay = new Overlay(this.map);
    onLanguage(() => this.relabel());
    this.relabel();
  }

  /** The names of the map's own buttons, which only a screen reader and the pointer tell. */
  private relabel(): void {
    const names = { ".maplibregl-ctrl-zoom-in": t("nearer"), ".maplibregl-ctrl-zoom-out": t("farther"), ".maplibregl-canvas": t("map") };
    for (const [part, name] of Object.entries(names)) {
      const element = this.map.getContainer().querySelector(part);
      element?.setAttribute("aria-label", name);
      if (part.includes("zoom")) element?.setAttribute("title", name);
    }
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
      networkOf: (id) => this.networkOf(id),
    });
    this.map.setStyle(style, { diff: false });
  }

  /** The network that a layer's features are narrowed to: layers of networks have a field that names it. */
  private networkOf(layerId: string): string | null {
    const layer = this.catalog && layerOf(this.catalog, layerId);
    return layer?.fields?.some((field) => field.name === "network") ? this.network : null;
  }

  /** Draw the features of this network only, null for all; what is not drawn is not clicked either. */
  setNetwork(network: string | null): void {
    if (network === this.network) return;
    this.network = network;
    for (const layer of this.style?.layers ?? []) {
      if (this.map.getLayer(layer.id)) this.map.setFilter(layer.id, ofNetwork((layer as any).filter, this.networkOf(layerIdOf(layer))) ?? null);
    }
  }

  /** Ask the server again for the tiles of a layer whose features changed. */
  reload(layerId: string): void {
    this.reloadSources((layer) => layerIdOf(layer) === layerId);
  }

  /** Ask the server again for all that is shown: what has not changed is not sent again. */
  refresh(): void {
    this.reloadSources(() => true);
  }

  private reloadSources(which: (styleLayer: any) => boolean): void {
    this.whenStyled(({ layers }) => {
      const shown = layers.filter((layer: any) => layer.source && which(layer)).map((layer: any) => layer.source as string);
      for (const id of new Set(shown)) {
        const source = this.map.getSource(id) as maplibregl.VectorTileSource | undefined;
        if (source?.type === "vector" && source.tiles) source.setTiles(source.tiles);
      }
    });
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

  /** Whether the map draws this layer at all: rasters, for one, are in the catalogue and in no style. */
  draws(layerId: string): boolean {
    return this.style?.layers.some((layer) => layerIdOf(layer) === layerId) ?? false;
  }

  setVisible(layerIds: string[], on: boolean): void {
    for (const id of layerIds) this.chosen[id] = on;
    localStorage.setItem(HIDDEN, JSON.stringify(this.chosen));
    this.whenStyled(({ layers }) => {
      for (const layer of layers.filter((one) => layerIds.includes(layerIdOf(one)))) {
        this.map.setLayoutProperty(layer.id, "visibility", on ? "visible" : "none");
      }
    });
  }

  /** Do this to the style: at once, or when it has been read. */
  private whenStyled(change: (style: StyleSpecification) => void): void {
    const style = this.map.getStyle() as StyleSpecification | undefined;
    if (style) change(style);
    else this.map.once("style.load", () => change(this.map.getStyle()));
  }

  /** Show the city as on this day (YYYY-MM-DD), null for today. */
  setDate(date: string | null): void {
    this.date = date;
    this.whenStyled(({ sources }) => {
      for (const source of Object.keys(sources).map((id) => this.map.getSource(id) as maplibregl.VectorTileSource | undefined)) {
        if (source?.type === "vector" && source.tiles) source.setTiles(source.tiles.map((url) => withDate(url, date)));
      }
    });
  }

  /** What is drawn of the catalogue's layers within `tolerance` pixels of a point, each feature once, top first. */
  featuresAt(point: { x: number; y: number }, tolerance: number, layers?: string[]): MapGeoJSONFeature[] {
    const { x, y } = point;
    const box: [PointLike, PointLike] = [[x - tolerance, y - tolerance], [x + tolerance, y + tolerance]];
    const seen = new Set<string>();
    return this.map.queryRenderedFeatures(box).filter((feature) => {
      const layer = layerIdOf({ source: feature.source, "source-layer": feature.sourceLayer });
      if (feature.properties.count && feature.properties.id === undefined) return false; // stands for several
      if (["answer", "selected"].includes(feature.source) || (layers && !layers.includes(layer))) return false;
      const key = `${layer}/${idOf(feature)}`;
      return !seen.has(key) && !!seen.add(key);
    });
  }

  goTo(center: [number, number], zoom = 17): void {
    const { top, right, bottom, left } = this.padding();
    // An offset, because a padding given to flyTo stays with the map and would count twice at the next fit.
    const offset: [number, number] = [(left - right) / 2, (top - bottom) / 2];
    this.map.flyTo({ center, zoom: Math.max(zoom, this.map.getZoom()), offset, duration: 900 });
  }

  /** Look at all of these features. */
  fit(features: GeoJSON.Feature[]): void {
    const box = boundsOf(features);
    if (box) this.look(box);
  }

  /** Whether some of a box (west, south, east, north) is on the screen. */
  shows([west, south, east, north]: [number, number, number, number]): boolean {
    const seen = this.map.getBounds();
    return seen.getWest() < east && seen.getEast() > west && seen.getSouth() < north && seen.getNorth() > south;
  }

  look(box: [number, number, number, number]): void {
    this.map.fitBounds(box, { padding: this.padding(), maxZoom: 17.5, duration: 900 });
  }

  marker(at: [number, number], element?: HTMLElement): maplibregl.Marker {
    return new maplibregl.Marker(element ? { element, anchor: "bottom" } : { color: "#0b62c4" }).setLngLat(at).addTo(this.map);
  }

  /** A PNG of the map that shows all of these features; the reader's own view is given back afterwards. */
  async picture(features: GeoJSON.Feature[]): Promise<string> {
    const { map } = this;
    const seen = { center: map.getCenter(), zoom: map.getZoom() };
    const box = boundsOf(features);
    if (box) map.fitBounds(box, { padding: 48, maxZoom: 17.5, duration: 0 });
    await settled(map);
    const picture = new Promise<string>((resolve) => {
      // The canvas is empty between frames, so it is read within one.
      map.once("render", () => resolve(map.getCanvas().toDataURL("image/png")));
    });
    map.triggerRepaint();
    const png = await picture;
    map.jumpTo(seen);
    return png;
  }
}

const SETTLE_MS = 4000;

/** When all tiles of the view are drawn, or after a while all the same: a notice at night must not wait for a slow tile. */
function settled(map: maplibregl.Map): Promise<void> {
  return new Promise((resolve) => {
    const clock = setTimeout(resolve, SETTLE_MS);
    map.once("idle", () => {
      clearTimeout(clock);
      resolve();
    });
  });
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
