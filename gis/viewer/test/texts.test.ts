import assert from "node:assert/strict";
import { test } from "node:test";

import { mistake, ROOT } from "../src/api.ts";
import { attributeRows, valueText, type LayerEntry } from "../src/catalog.ts";
import { coordinatesOf } from "../src/coordinates.ts";
import { cell, csv } from "../src/csv.ts";
import { byCommunity } from "../src/blocks.ts";
import { ownId } from "../src/facts.ts";
import { boundsOf } from "../src/overlay.ts";
import { splitId } from "../src/features.ts";
import { stepsOf } from "../src/history.ts";
import { authHeaders } from "../src/session.ts";

test("the API's root is the folder that holds the map, also behind a prefix", () => {
  assert.equal(ROOT, "http://map.example/bureau/");
});

test("a mistake is said in the reader's words, by the platform's class of it", () => {
  assert.match(mistake(400, { error: "NotOnNetwork", description: "no pipe lies within 30 m" }), /^这个位置或编号不在管网上.*30 m/);
  assert.match(mistake(400, { error: "OutsideExtent" }), /^位置在本市范围之外/);
  assert.match(mistake(400, { error: "Ambiguous" }), /^有几个同样符合/);
  assert.match(mistake(400, { error: "InputError", description: "limit" }), /^服务器不接受这个请求：limit/);
  assert.match(mistake(404, { error: "NotFound" }), /^没有找到/);
  assert.match(mistake(401, { error: "AccessDenied" }), /登录/);
  assert.match(mistake(503, { error: "StoreError" }), /^数据库/);
});

test("a spreadsheet runs nothing of a list and keeps long codes whole", () => {
  assert.equal(cell("=HYPERLINK(1)"), "'=HYPERLINK(1)");
  assert.equal(cell("-5.2"), "-5.2");
  assert.equal(cell('a"b,c'), '"a""b,c"');
  assert.equal(cell("999901001001000000000012345"), "\t999901001001000000000012345");
  assert.equal(csv([["地址"], [null]]), "\ufeff地址\r\n\r\n");
});

test("coordinates are told from addresses", () => {
  assert.deepEqual(coordinatesOf("117.01, 32.02"), [117.01, 32.02]);
  assert.deepEqual(coordinatesOf("117.01，32"), [117.01, 32]);
  assert.equal(coordinatesOf("人民路 12 号"), null);
  assert.equal(coordinatesOf("117.01, 95"), null);
});

const layer: LayerEntry = {
  id: "water_pipe",
  title: { zh: "给水管", en: "Water pipe" },
  geometry: "LineStringZ",
  fields: [
    { name: "material", title: { zh: "管材", en: "Material" }, type: "code", codes: [{ code: "QT", title: { zh: "球墨铸铁", en: "Ductile iron" } }] },
    { name: "length_m", title: { zh: "长度", en: "Length" }, type: "real", unit: "m" },
    { name: "slope", title: { zh: "坡度", en: "Slope" }, type: "real", unit: "[‰]" },
    { name: "operable", title: { zh: "可操作", en: "Operable" }, type: "bool" },
    { name: "owner", title: { zh: "权属", en: "Owner" }, type: "text" },
  ],
};

test("attributes have titles, code titles and units, in the layer's order; empty ones and internal ones are left out", () => {
  const rows = attributeRows(layer, { operable: false, length_m: 12.34567, material: "QT", owner: "", slope: 3, fid: 7, extra: "x" });
  assert.deepEqual(rows.map((row) => [row.title, row.text]), [["管材", "球墨铸铁"], ["长度", "12.346 m"], ["坡度", "3 ‰"], ["可操作", "否"], ["extra", "x"]]);
});

test("a code that its list does not know is shown as it is", () => {
  assert.equal(valueText(layer.fields![0], "ZZ"), "ZZ");
});

test("ids of network layers come apart at the first colon", () => {
  assert.deepEqual(splitId("city:P:1"), { network: "city", id: "P:1" });
  assert.equal(ownId("city:V1", "city"), "V1");
  assert.equal(ownId("V1@N:2", "city"), "V1@N:2");
});

test("names and passwords in any script make a header", () => {
  assert.deepEqual(authHeaders({ kind: "basic", name: "张三", password: "水务" }), { Authorization: "Basic 5byg5LiJOuawtOWKoQ==" });
  assert.deepEqual(authHeaders({ kind: "key", key: "k" }), { "X-API-Key": "k" });
  assert.deepEqual(authHeaders(null), {});
});


test("bounds hold all geometries", () => {
  const at = (geometry: any) => ({ type: "Feature" as const, properties: {}, geometry });
  assert.deepEqual(boundsOf([at({ type: "Point", coordinates: [1, 2, 9] }), at({ type: "LineString", coordinates: [[0, 5], [3, 4]] })]), [0, 2, 3, 5]);
  assert.equal(boundsOf([]), null);
});

test("door-plates are listed by community, in the order of their numbers, those of none at the end", () => {
  const plate = (id: string, community: string | null, address: string) => ({ id, community, address });
  const found = byCommunity([plate("1", null, "无名路1号"), plate("2", "太平社区", "太平大街10号"), plate("3", "太平社区", "太平大街9号"), plate("4", "古城社区", "古城路1号")]);
  assert.deepEqual(found.map(([name, plates]) => [name, plates.map(({ id }) => id)]), [["古城社区", ["4"]], ["太平社区", ["3", "2"]], ["", ["1"]]]);
});

test("a history says what each version changed, in the layer's words, and that a thing moved", () => {
  const layer = { id: "pipe", title: { zh: "管", en: "Pipe" }, geometry: "Point", fields: [{ name: "dn", type: "real", unit: "mm", title: { zh: "管径", en: "Diameter" } }] } as LayerEntry;
  const version = (dn: number | null, x: number): any => ({ id: "1", geometry: { type: "Point", coordinates: [x, 32] }, properties: { dn }, recorded: { from: "2026-01-01T00:00:00Z", to: null } });
  const [newest, middle, first] = stepsOf(layer, [version(300, 117), version(null, 117), version(null, 116)]);
  assert.deepEqual([newest.changes, newest.moved], [[{ title: "管径", before: "", after: "300 mm" }], false]);
  assert.deepEqual([middle.changes, middle.moved], [[], true]);
  assert.equal(first.changes, null);
});
