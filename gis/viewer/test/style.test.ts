import assert from "node:assert/strict";
import { test } from "node:test";

import { bundle, localUrl, mapColours, readyStyle, withDate } from "../src/style.ts";

const TILES = "http://old-name:5080/collections/road/tiles/WebMercatorQuad/{z}/{y}/{x}?f=mvt";
const style: any = {
  version: 8,
  glyphs: "https://elsewhere.example/{fontstack}/{range}.pbf",
  sprite: "https://elsewhere.example/sprite",
  sources: { road: { type: "vector", tiles: [TILES] }, gas: { type: "vector", tiles: ["/collections/gas/tiles/WebMercatorQuad/{z}/{y}/{x}"] } },
  layers: [
    { id: "road", type: "line", source: "road", "source-layer": "road", paint: { "line-color": ["match", ["get", "class"], "trunk", "#ffeeaa", "#ffffff"] } },
    { id: "road-name", type: "symbol", source: "road", "source-layer": "road", layout: { "text-field": ["get", "name"], "text-font": ["Open Sans"] }, paint: {} },
    { id: "gas", type: "line", source: "gas", "source-layer": "gas", paint: { "line-color": "#ff00ff" } },
  ],
};
const ready = { root: "http://host/", night: false, date: null, groupOf: (id: string) => (id === "road" ? "base" : "pipe"), visible: (id: string) => id !== "gas", networkOf: () => null };

test("tiles come from the server that gave the page, whatever name the style was written for", () => {
  assert.equal(localUrl(TILES, "http://host/prefix/"), "http://host/prefix/collections/road/tiles/WebMercatorQuad/{z}/{y}/{x}?f=mvt");
  assert.equal(localUrl("/collections/a/tiles", "http://host/"), "http://host/collections/a/tiles");
});

test("a date is set, changed and taken away without touching the rest of the address", () => {
  const dated = withDate("http://h/t?f=mvt", "2020-01-31");
  assert.equal(dated, "http://h/t?f=mvt&datetime=2020-01-31");
  assert.equal(withDate(dated, "2021-02-01"), "http://h/t?f=mvt&datetime=2021-02-01");
  assert.equal(withDate(dated, null), "http://h/t?f=mvt");
  assert.equal(withDate("http://h/t", "2020-01-31"), "http://h/t?datetime=2020-01-31");
  assert.equal(withDate("http://h/t?datetime=2020-01-31&f=mvt", null), "http://h/t?f=mvt");
});

test("a style asks nothing of anybody else: no glyphs, no sprite, fonts of the machine", () => {
  const made: any = readyStyle(style, ready);
  assert.ok(!JSON.stringify(made).includes("elsewhere.example"));
  assert.match(made.layers.find((layer: any) => layer.id === "road-name").layout["text-font"][0], /^Noto Sans SC/);
  assert.equal(style.glyphs, "https://elsewhere.example/{fontstack}/{range}.pbf", "the original is left alone");
});

test("a style starts with the layers that the reader chose, on a background", () => {
  const made: any = readyStyle(style, ready);
  assert.equal(made.layers[0].type, "background");
  const seen = Object.fromEntries(made.layers.slice(1).map((layer: any) => [layer.id, layer.layout.visibility]));
  assert.deepEqual(seen, { road: "visible", "road-name": "visible", gas: "none" });
});

test("at night base layers turn dark and pipes keep the colours of CJJ 61", () => {
  const made: any = readyStyle(style, { ...ready, night: true });
  const paint = (id: string): any => made.layers.find((layer: any) => layer.id === id).paint;
  assert.equal(paint("gas")["line-color"], "#ff00ff");
  assert.match(paint("road")["line-color"][4], /^hsl\(/);
  assert.deepEqual(paint("road")["line-color"][1], ["get", "class"]);
});

test("only colours in an expression are changed", () => {
  assert.deepEqual(mapColours(["match", ["get", "fff"], "a", "#ABC", 3], () => "X"), ["match", ["get", "fff"], "a", "X", 3]);
});

test("shown layers of one last zoom come in one tile, pipes apart from the ground, hidden ones by themselves", () => {
  const source = (id: string, maxzoom: number, minzoom = 8): any => ({ type: "vector", tiles: [TILES.replace("road", id)], minzoom, maxzoom });
  const made: any = {
    sources: { road: source("road", 15), water: source("water", 15, 6), house: source("house", 16), gas: source("gas", 15), oil: source("oil", 15), lamp: source("lamp", 15), dem: { type: "raster", tiles: ["http://h/collections/dem/tiles/a/{z}/{y}/{x}?f=png"] } },
    layers: ["road", "water", "house", "gas", "oil", "lamp", "dem"].map((id) => ({ id, source: id, "source-layer": id })),
  };
  bundle(made, (id) => id !== "lamp", (id) => ["gas", "oil"].includes(id));
  const tilesOf = (id: string): string => made.sources[made.layers.find((layer: any) => layer.id === id).source].tiles[0];
  assert.equal(tilesOf("road"), "http://old-name:5080/tiles/WebMercatorQuad/{z}/{y}/{x}?f=mvt&collections=road,water");
  assert.equal(tilesOf("water"), tilesOf("road"));
  assert.match(tilesOf("oil"), /collections=gas,oil$/);
  for (const alone of ["house", "lamp", "dem"]) assert.ok(tilesOf(alone).includes(`/collections/${alone}/tiles/`), alone);
  assert.equal(made.sources[made.layers[0].source].minzoom, 6);
  assert.equal(withDate(tilesOf("road"), "2020-01-31"), `${tilesOf("road")}&datetime=2020-01-31`);
});
