"""Tiles in one file: read back by PMTiles' own reader, and held against what is served."""

from __future__ import annotations

import gzip

import pytest
from api_rows import put
from pmtiles.reader import MmapSource, Reader, all_tiles
from test_tiles import decoded

from gis.access import audit
from gis.api import tile_archive
from gis.errors import InputError, NotFound


def test_the_file_holds_the_tiles_that_the_role_is_served(as_role, tmp_path):
    planner = as_role("planner")
    for i in range(40):
        put("water_pipe", {"pipe_id": f"P{i}", "geometry": f"LINESTRING({116.99 + i * 4e-5} 32, {116.99 + (i + 1) * 4e-5} 32.0001)"})
    out, seen = tmp_path / "city.pmtiles", []
    made = tile_archive.export(
        out, ["road", "water"], role="planner", user="someone", first=11, last=12, progress=lambda what, done, of: seen.append((done, of))
    )
    assert made["layers"][0] == "road" and "water_pipe" in made["layers"] and made["tiles"] > 1 and seen[-1][0] == seen[-1][1] == len(seen)
    with out.open("rb") as file:
        reader = Reader(MmapSource(file))
        header, metadata = reader.header(), reader.metadata()
        assert (header["min_zoom"], header["max_zoom"], header["clustered"]) == (11, 12, True)
        assert {one["id"] for one in metadata["vector_layers"]} >= {"road", "water_pipe"} and metadata["onemap:labels"][
            "water_pipe"
        ] == "敏感"
        stored = dict(all_tiles(reader.get_bytes))
        assert len(stored) == made["tiles"]
        for (z, x, y), body in stored.items():
            served = planner.get(f"/tiles/WebMercatorQuad/{z}/{y}/{x}?collections={','.join(made['layers'])}")
            assert gzip.decompress(body) == served.data, "the same bytes as served"
        for z, x, y in set(tile_archive.places(tile_archive.layers_for("anonymous", ["road"]), 12, 12)) - stored.keys():
            path = f"/tiles/WebMercatorQuad/{z}/{y}/{x}?collections={','.join(made['layers'])}"
            assert planner.get(path).status_code == 204, "what is not in the file is nowhere"
        assert "water_pipe" in set().union(*(decoded(gzip.decompress(body)) for body in stored.values()))
    public = tmp_path / "public.pmtiles"
    tile_archive.export(public, ["road"], role="anonymous", first=11, last=11)
    assert [file.stat().st_mode & 0o777 for file in (out, public)] == [0o600, 0o644], "what is not public is not for every account"
    again = tmp_path / "again.pmtiles"
    tile_archive.export(again, ["road", "water"], role="planner", first=11, last=12)
    assert again.read_bytes() == out.read_bytes(), "the same data give the same bytes"
    entered = [row for row in audit.entries(layer="water_pipe", limit=200) if row["action"] == "tile export"]
    assert len(entered) == 2 and entered[1]["user"] == "someone" and entered[1]["role"] == "planner"


def test_what_a_role_may_not_see_is_refused_not_left_out(app, tmp_path):
    out = tmp_path / "city.pmtiles"
    for names, role in ((["road", "water_pipe"], "anonymous"), (["gas_pipe"], "water"), (["dem"], "planner"), ([], "anonymous")):
        with pytest.raises(InputError):
            tile_archive.export(out, names, role=role)
    with pytest.raises(NotFound):
        tile_archive.export(out, ["nothing"], role="admin")
    with pytest.raises(InputError):
        tile_archive.export(out, ["building"], role="admin", first=0, last=5)
    assert not list(tmp_path.iterdir()), "no half file"


def test_coarse_tiles_are_made_before_they_are_asked_for(app):
    assert tile_archive.prepare(["road"], role="anonymous", last=9) == 4
    with pytest.raises(InputError):
        tile_archive.prepare(["water_pipe"], role="anonymous")
