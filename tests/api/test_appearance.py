"""What styles are drawn with: letters, signs, and the official validator's opinion."""

from __future__ import annotations

import io
import json
import shutil
import subprocess

import numpy as np
import pytest
from PIL import Image
from test_tiles import fields

from gis.api import sprites
from gis.catalog.read import catalog
from gis.settings import ROOT

VALIDATOR = ROOT / "gis/viewer/node_modules/@maplibre/maplibre-gl-style-spec/dist/gl-style-validate.mjs"


def letters(body: bytes) -> tuple[str, str, dict[int, dict]]:
    """(stack, range, {code point: fields of the glyph}) of a glyph message."""
    ((_, stack),) = fields(body)
    parts = list(fields(stack))
    named = {number: value.decode() for number, value in parts if number in (1, 2)}
    return named[1], named[2], {glyph[1]: glyph for number, value in parts if number == 3 for glyph in [dict(fields(value))]}


def signed(value: int) -> int:
    return value >> 1 if value % 2 == 0 else -(value >> 1) - 1


def test_letters_come_from_the_platform_itself(anyone):
    style = anyone.get("/styles/onemap").json
    assert style["glyphs"] == "http://localhost/fonts/{fontstack}/{range}.pbf"
    (font,) = {name for layer in style["layers"] for name in layer.get("layout", {}).get("text-font", [])}
    first = ord("阀") // 256 * 256
    stack, span, drawn = letters(anyone.get(f"/fonts/{font}/{first}-{first + 255}.pbf").data)
    assert (stack, span) == (font, f"{first}-{first + 255}") and len(drawn) > 200
    valve = drawn[ord("阀")]
    width, height = valve[3] + 6, valve[4] + 6
    field = np.frombuffer(valve[2], np.uint8).reshape(height, width)
    assert 18 <= valve[3] <= 25 and valve[7] == 24 and field.max() > 191 and field[0, 0] < 191, "ink within, none at the corner"
    assert -14 <= signed(valve[6]) <= 0 and signed(valve[5]) in range(-1, 4)
    latin = letters(anyone.get(f"/fonts/{font}/0-255.pbf").data)[2]
    assert latin[ord("D")][7] > latin[ord("i")][7] and latin[ord(" ")][3] == 0
    for wrong in ("1-256", "0-100", "65536-65791", "a-b", "0-255-3", "-256--1"):
        assert anyone.get(f"/fonts/{font}/{wrong}.pbf").status_code == 400, wrong


def test_every_sign_that_a_style_names_is_in_the_sprite(water, anyone):
    style = water.get("/styles/onemap").json
    index = water.get("/sprites/onemap.json").json
    named = {layer["layout"]["icon-image"] for layer in style["layers"] if "icon-image" in layer.get("layout", {})}
    assert style["sprite"] == "http://localhost/sprites/onemap" and named and named <= set(index)
    assert {"valve", "hydrant", "source", "manhole", "water_valve:closed"} <= set(index)
    picture, twice = (Image.open(io.BytesIO(water.get(f"/sprites/onemap{r}.png").data)) for r in ("", "@2x"))
    assert (picture.width * 2, picture.height * 2) == twice.size
    double = water.get("/sprites/onemap@2x.json").json
    kept = water.get("/sprites/onemap.png").headers["ETag"]
    assert water.get("/sprites/onemap.png", headers={"If-None-Match": kept}).status_code == 304
    for name, at in double.items():
        part = twice.crop((at["x"], at["y"], at["x"] + at["width"], at["y"] + at["height"]))
        assert at["pixelRatio"] == 2 and at["width"] == 2 * index[name]["width"] and np.asarray(part)[..., 3].any(), f"{name} is drawn"
    assert "water_valve:closed" not in anyone.get("/sprites/onemap.json").json, "signs of hidden layers are not told"
    assert sprites.sprite(catalog(), 1) == sprites.sprite(catalog(), 1)


@pytest.mark.skipif(not VALIDATOR.is_file() or not shutil.which("node"), reason="the viewer's packages are not installed")
def test_the_official_validator_finds_nothing(app, as_role, tmp_path):
    """The styles as served to every kind of caller, and of every layer, by MapLibre's own validator."""
    paths = []
    for role in ("anonymous", "planner", "water", "admin"):
        client = as_role(role)
        for name in ("onemap", *(catalog().layers if role == "admin" else ())):
            answer = client.get(f"/styles/{name}")
            if answer.status_code == 200:
                paths.append(tmp_path / f"{role}-{name}.json")
                paths[-1].write_text(json.dumps(answer.json), encoding="utf-8")
    assert len(paths) > 30
    checked = subprocess.run(["node", str(VALIDATOR), *map(str, paths)], capture_output=True, text=True, timeout=120)
    assert checked.returncode == 0 and not checked.stdout.strip(), checked.stdout[:2000] + checked.stderr[:500]
