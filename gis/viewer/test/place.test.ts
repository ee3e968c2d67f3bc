import assert from "node:assert/strict";
import { test } from "node:test";

import { joined, parts, renewed, withParts, words } from "../src/place.ts";
import { ofNetwork } from "../src/style.ts";
import { moment, spanText } from "../src/times.ts";

test("what is on show is written into the address and read again, whatever an id is made of", () => {
  const open = joined(["burst", "pipe", "管 1/2&a=b"]);
  const hash = withParts("#map=17/32/117", { open, stuck: joined(["V,1", "V2"], ",") });
  assert.match(hash, /^#map=17\/32\/117&/);
  assert.deepEqual(words(parts(hash).open), ["burst", "pipe", "管 1/2&a=b"]);
  assert.deepEqual(words(parts(hash).stuck, ","), ["V,1", "V2"]);
});

test("a part that is empty leaves the address, the others stay", () => {
  assert.equal(withParts("#map=1/2/3&open=a&stuck=b", { stuck: "" }), "#map=1/2/3&open=a");
  assert.equal(withParts("", { open: "" }), "#");
});

test("an address that was cut off, or of the old kind, is read as far as it goes", () => {
  assert.deepEqual(words("burst/pipe/%E6%B0"), ["burst", "pipe", "%E6%B0"]);
  assert.deepEqual(words(undefined), []);
  assert.equal(renewed("#17/32/117"), "#map=17/32/117");
  assert.equal(renewed("#map=1/2/3&open=works"), "#map=1/2/3&open=works");
});

test("layers of networks are narrowed to one, features that name none stay", () => {
  assert.equal(ofNetwork(undefined, null), undefined);
  assert.deepEqual(ofNetwork(["==", "a", 1], null), ["==", "a", 1]);
  assert.deepEqual(ofNetwork(["==", "a", 1], "Net3"), ["all", ["==", "a", 1], ["any", ["!", ["has", "network"]], ["==", ["get", "network"], "Net3"]]]);
});

test("times of forms go out with their zone, and a day is said once", () => {
  assert.match(moment("2026-01-05T08:00")!, /^2026-01-0\d.*Z$/);
  assert.equal(moment(""), null);
  assert.equal(spanText("2026-01-05T08:00", "2026-01-05T09:30"), "2026-01-05 08:00 – 09:30");
});
