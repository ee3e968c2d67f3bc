/** The small map within the pages of a collection, a list of its features and one of them: shows the layer over the base map, and the
 * features of the page on top. It is a document of its own in a frame, so that the pages themselves run no script at all.
 *
 * Parameters: `layer`; `items` the path of the page's features; `lang`. */

import maplibregl, { type MapGeoJSONFeature } from "maplibre-gl";
import "maplibre-gl/dist/maplibre-gl.css";
import workerUrl from "maplibre-gl/dist/maplibre-gl-csp-worker.js?url";
import "./page.css";

import { readCatalog, readStyle, request, ROOT, useAmbientCredentials } from "./api.ts";
import { groupOf, layerOf, type Catalog } from "./catalog.ts";
import { boundsOf } from "./overlay.ts";
import { layerIdOf, readyStyle } from "./style.ts";

/** Layers below the one that is shown. */
const GROUND = new Set(["admin_area", "water_body", "road", "building", "parcel"]);

const asked = new URLSearchParams(location.search);
const chinese = (asked.get("lang") ?? "zh").startsWith("zh");
const said = document.getElementById("said") as HTMLElement;
const MARK = "#e8590c";

/** The path of the page's features below the root; null for anything that is no path of a collection. */
export function pathOf(given: string | null): string | null {
  return given && /^collections\/[a-z0-9_]+\/items([/?].*)?$/i.test(given) ? given : null;
}

function showItems(map: maplibregl.Map, items: GeoJSON.FeatureCollection, layer: string): void {
  map.addSource("items", { type: "geojson", data: items });
  map.addLayer({ id: "items-fill", type: "fill", source: "items", filter: ["==", ["geometry-type"], "Polygon"], paint: { "fill-color": MARK, "fill-opacity": 0.25 } });
  map.addLayer({
    id: "items-line",
    type: "line",
    source: "items",
    filter: ["!=", ["geometry-type"], "Point"],
    paint: { "line-color": MARK, "line-width": 3 },
  });
  map.addLayer({
    id: "items-point",
    type: "circle",
    source: "items",
    filter: ["==", ["geometry-type"], "Point"],
    paint: { "circle-color": MARK, "circle-radius": 5, "circle-stroke-color": "#fff", "circle-stroke-width": 1.5 },
  });
  const drawn = ["items-point", "items-line", "items-fill"];
  map.on("mousemove", (event) => {
    map.getCanvas().style.cursor = map.queryRenderedFeatures(event.point, { layers: drawn }).length ? "pointer" : "";
  });
  map.on("click", (event) => {
    const found: MapGeoJSONFeature | undefined = map.queryRenderedFeatures(event.point, { layers: drawn })[0];
    const id = found?.properties["onemap-id"];
    if (id !== undefined && window.top) {
      window.top.location.href = `${ROOT}collections/${layer}/items/${encodeURIComponent(id)}?f=html&lang=${chinese ? "zh" : "en"}`;
    }
  });
}

/** Features with their id where tiles and clicks find it: ids that are texts are not kept by the renderer. */
function withIds(features: GeoJSON.Feature[]): GeoJSON.FeatureCollection {
  const kept = features.filter((feature) => feature.geometry);
  return {
    type: "FeatureCollection",
    features: kept.map(({ id, geometry }) => ({ type: "Feature", geometry, properties: { "onemap-id": String(id ?? "") } })),
  };
}

async function itemsOf(path: string | null): Promise<GeoJSON.FeatureCollection | null> {
  if (!path) return null;
  const answer = await request<GeoJSON.FeatureCollection | GeoJSON.Feature>(path, { seconds: 20 });
  return withIds(answer.type === "Feature" ? [answer] : answer.features);
}

async function show(): Promise<void> {
  useAmbientCredentials();
  const layer = asked.get("layer") ?? "";
  const night = matchMedia("(prefers-color-scheme: dark)");
  const [catalog, style, items] = await Promise.all([readCatalog(), readStyle(), itemsOf(pathOf(asked.get("items")))]);
  const made = (): maplibregl.StyleSpecification => ready(catalog, style, layer, night.matches);
  maplibregl.setWorkerUrl(new URL(workerUrl, document.baseURI).href);
  const box = items && boundsOf(items.features);
  const least = layerOf(catalog, layer)?.tiles?.min_zoom ?? 0;
  const map = new maplibregl.Map({
    container: "map",
    style: made(),
    ...(box ? { bounds: box, fitBoundsOptions: { padding: 40, maxZoom: 17 } } : { center: catalog.city.center, zoom: Math.max(catalog.city.zoom, least) }),
    dragRotate: false,
    pitchWithRotate: false,
    attributionControl: false,
    cooperativeGestures: true,
    locale: chinese
      ? {
          "CooperativeGesturesHandler.WindowsHelpText": "按住 Ctrl 滚动缩放",
          "CooperativeGesturesHandler.MacHelpText": "按住 ⌘ 滚动缩放",
          "CooperativeGesturesHandler.MobileHelpText": "用两个手指移动地图",
          "NavigationControl.ZoomIn": "放大",
          "NavigationControl.ZoomOut": "缩小",
          "Map.Title": "地图",
        }
      : {},
  });
  map.touchZoomRotate.disableRotation();
  map.addControl(new maplibregl.NavigationControl({ showCompass: false }), "top-right");
  map.addControl(new maplibregl.ScaleControl({ maxWidth: 100 }), "bottom-left");
  map.on("zoomend", () => {
    const hint = chinese ? "放大后显示这个图层" : "Zoom in to see this layer";
    said.textContent = map.getZoom() < least ? hint : "";
  });
  map.on("style.load", () => items && showItems(map, items, layer));
  night.addEventListener("change", () => map.setStyle(made(), { diff: false }));
  map.once("idle", () => document.body.classList.add("ready"));
}

function ready(catalog: Catalog, style: maplibregl.StyleSpecification, layer: string, night: boolean): maplibregl.StyleSpecification {
  const made = readyStyle(style, {
    root: ROOT,
    night,
    date: null,
    groupOf: (id) => groupOf(catalog, id),
    visible: (id) => id === layer || GROUND.has(id),
    networkOf: () => null,
  });
  // what lies below is there to find one's way: paler, and without words
  made.layers = made.layers.filter((one) => layerIdOf(one) === layer || one.type !== "symbol");
  return made;
}

show().catch((error: Error) => {
  const glMissing = /webgl/i.test(error.message);
  said.textContent = glMissing ? (chinese ? "这个浏览器不能显示地图（没有 WebGL）" : "This browser cannot show the map (no WebGL)") : error.message;
});
