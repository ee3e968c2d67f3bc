/** The map's style made ready for this page: local fonts, addresses of this server, the date, the night. Pure functions. */

import type { StyleSpecification } from "maplibre-gl";

/** Fonts of the reader's own machine, drawn there: the style names no `glyphs`, so nothing is fetched. */
export const FONTS = ["Noto Sans SC", "Noto Sans CJK SC", "Microsoft YaHei", "PingFang SC", "WenQuanYi Micro Hei", "sans-serif"];

/** The layer of a tile's table: texts of areas are points in a table of their own. */
export function tableOf(table: string): string {
  return table.replace(/_label$/, "");
}

/** The catalogue's layer that a style layer draws. */
export function layerIdOf(styleLayer: any): string {
  return tableOf(styleLayer["source-layer"] ?? styleLayer.source ?? "");
}

/** A tile address on this server: the style may have been written for another name of the same host. */
export function localUrl(url: string, root: string): string {
  const path = url.search(/(collections|groups|styles|sprites|processes|catalog)\//);
  if (path >= 0) return root + url.slice(path);
  return /^https?:/.test(url) ? url : root + url.replace(/^\//, "");
}

/** The address with `datetime` set to this day, or without it for today. */
export function withDate(url: string, date: string | null): string {
  const bare = url.replace(/([?&])datetime=[^&]*&?/, "$1").replace(/[?&]$/, "");
  return date ? `${bare}${bare.includes("?") ? "&" : "?"}datetime=${date}` : bare;
}

/** Layers that come in one tile, by the last zoom that they have tiles of: drawn larger beyond it, so it is one for all of a source. */
const TILES_OF = /^(.*)collections\/([^/?]+)\/(tiles\/[^?]*\?.*)$/;

/** Let layers that are shown share sources: a tile of several layers is one request instead of one for each. Pipes share with pipes only,
 * because a tile has a size that it does not exceed, and houses must not make it leave pipes out. What is hidden keeps a source of its
 * own, which is asked for nothing until it is switched on. */
export function bundle(style: any, shown: (layerId: string) => boolean, isPipe: (layerId: string) => boolean): void {
  const together = new Map<string, string[]>();
  for (const [id, source] of Object.entries<any>(style.sources)) {
    const [, , of, rest] = (source.type === "vector" && source.tiles?.length === 1 && TILES_OF.exec(source.tiles[0])) || [];
    if (of !== id || !shown(id)) continue;
    const key = ["together", isPipe(id) ? "pipe" : "ground", source.maxzoom, rest].join(" ");
    together.set(key, [...(together.get(key) ?? []), id]);
  }
  for (const [key, ids] of together) {
    if (ids.length < 2) continue;
    const sources = ids.map((id) => style.sources[id]);
    const [, root, , rest] = TILES_OF.exec(sources[0].tiles[0])!;
    style.sources[key] = { ...sources[0], tiles: [`${root}${rest}&collections=${[...ids].sort().join(",")}`], minzoom: Math.min(...sources.map((source) => source.minzoom ?? 0)) };
    for (const id of ids) delete style.sources[id];
    for (const layer of style.layers) if (ids.includes(layer.source)) layer.source = key;
  }
}

interface Ready {
  root: string;
  night: boolean;
  date: string | null;
  groupOf: (layerId: string) => string | undefined;
  visible: (layerId: string) => boolean;
  /** The network whose features alone are drawn of this layer; null for layers of no network. */
  networkOf: (layerId: string) => string | null;
}

/** A style layer's filter narrowed to the features of one network; features that name none stay. */
export function ofNetwork(filter: unknown, network: string | null): any {
  if (network === null) return filter;
  const own = ["any", ["!", ["has", "network"]], ["==", ["get", "network"], network]];
  return filter ? ["all", filter, own] : own;
}

/** A copy of the server's style for this page. */
export function readyStyle(original: StyleSpecification, ready: Ready): StyleSpecification {
  const style: any = structuredClone(original);
  delete style.glyphs;
  if (typeof style.sprite === "string" && style.sprite.includes("/sprites/")) style.sprite = localUrl(style.sprite, ready.root);
  else delete style.sprite; // signs of this server only
  for (const source of Object.values<any>(style.sources)) {
    if (Array.isArray(source.tiles)) {
      source.tiles = source.tiles.map((url: string) => withDate(localUrl(url, ready.root), ready.date));
    }
    if (typeof source.url === "string") source.url = localUrl(source.url, ready.root);
    if (typeof source.data === "string") source.data = localUrl(source.data, ready.root);
  }
  bundle(style, ready.visible, (id) => ready.groupOf(id) === "pipe");
  if (!style.layers.some((layer: any) => layer.type === "background")) {
    style.layers.unshift({ id: "background", type: "background", paint: { "background-color": "#f3f1ec" } });
  }
  for (const layer of style.layers) {
    if (layer.type === "symbol" && layer.layout?.["text-field"]) layer.layout["text-font"] = [FONTS.join(",")];
    if (layer.source) layer.layout = { ...layer.layout, visibility: ready.visible(layerIdOf(layer)) ? "visible" : "none" };
    if (layer.source) {
      const filter = ofNetwork(layer.filter, ready.networkOf(layerIdOf(layer)));
      if (filter) layer.filter = filter;
    }
    if (ready.night) darken(layer, ready.groupOf(layerIdOf(layer)));
  }
  return style;
}

const HEX = /^#([0-9a-f]{3}|[0-9a-f]{6})$/i;

function rgbOf(hex: string): [number, number, number] {
  const full = hex.length === 4 ? hex.replace(/[0-9a-f]/gi, "$&$&") : hex;
  return [1, 3, 5].map((i) => parseInt(full.slice(i, i + 2), 16) / 255) as [number, number, number];
}

function hslOf(hex: string): [number, number, number] {
  const [r, g, b] = rgbOf(hex);
  const max = Math.max(r, g, b);
  const min = Math.min(r, g, b);
  const l = (max + min) / 2;
  const d = max - min;
  if (d === 0) return [0, 0, l];
  const s = d / (1 - Math.abs(2 * l - 1));
  const hue = max === r ? ((g - b) / d + 6) % 6 : max === g ? (b - r) / d + 2 : (r - g) / d + 4;
  return [hue * 60, s, l];
}

function hsl(h: number, s: number, l: number): string {
  return `hsl(${h.toFixed(0)},${(s * 100).toFixed(0)}%,${(l * 100).toFixed(0)}%)`;
}

/** Every hex colour in a style value (an expression may hold several), mapped. */
export function mapColours(value: unknown, change: (hex: string) => string): unknown {
  if (typeof value === "string") return HEX.test(value) ? change(value) : value;
  if (Array.isArray(value)) return value.map((part) => mapColours(part, change));
  return value;
}

const NIGHT = "#12171e";

/** Base layers turn dark; pipes keep the colours of CJJ 61, only those too dark to see are lifted. */
function darken(layer: any, group: string | undefined): void {
  layer.paint ??= {};
  const paint = layer.paint;
  if (layer.type === "background") paint["background-color"] = NIGHT;
  const thematic = group !== undefined && group !== "base" && group !== "grid";
  for (const name of Object.keys(paint)) {
    if (!/color$/.test(name) || layer.type === "background") continue;
    paint[name] = mapColours(paint[name], (hex) => {
      const [h, s, l] = hslOf(hex);
      if (name.startsWith("text-halo")) return NIGHT;
      if (name.startsWith("text")) return hsl(h, s * 0.4, 0.84);
      if (thematic) return l < 0.4 ? hsl(h, Math.min(1, s + 0.1), 0.55) : hex;
      if (name.includes("fill")) return hsl(h, s * 0.45, 0.13 + (1 - l) * 0.32);
      return hsl(h, s * 0.22, 0.24 + (1 - l) * 0.3);
    });
  }
  if (layer.type === "raster") paint["raster-brightness-max"] = 0.45;
}
