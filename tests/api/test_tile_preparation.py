"""Coarse tiles are drawn by the worker when a layer has changed, and found by whoever asks first."""

from __future__ import annotations

import threading

import pytest
from api_rows import put
from test_tiles import TILE, decoded, place

from gis.access import rights
from gis.api import tile_preparation, tile_store, tiles
from gis.api.tile_cache import cache
from gis.api.tile_preparation import Preparer
from gis.catalog.read import catalog
from gis.settings import settings


@pytest.fixture
def painter(app, monkeypatch):
    """A preparer for which every tile takes long, so that few zooms will do."""
    monkeypatch.setattr(tile_store, "SLOW_S", 0.0)
    monkeypatch.setenv("ONEMAP_PREPARED_ZOOM", "10")
    settings.cache_clear()
    yield Preparer(threading.Event(), quiet_s=0.0)
    monkeypatch.undo()
    settings.cache_clear()


def kept(layer: str) -> set[str]:
    return {path.name for path in (settings().home / "tiles").rglob(f"{layer}/*/*")}


def test_whoever_asks_first_after_a_load_finds_the_tile_drawn(painter, anyone, as_role, monkeypatch):
    assert anyone.get(TILE.format("road", *place(9))).status_code == 200, "a process that knows the version before"
    painter.tick()
    files = kept("road")
    assert files and not painter.courses["road"].not_before <= 0 and painter.courses["road"].done
    painter.tick()
    assert kept("road") == files, "nothing changed, nothing is drawn"
    put("road", {"road_id": "R2"})
    painter.courses["road"].not_before = 0.0
    painter.tick()
    assert kept("road") and not kept("road") & files, "those of the version before are gone"
    cache.clear()
    asked = []
    monkeypatch.setattr(tiles, "drawn", lambda *given: asked.append(given))
    for who in (anyone, as_role("planner"), as_role("water")):  # drawn for one of them, kept for all who see the same
        answer = who.get(TILE.format("road", *place(9)))
        assert answer.status_code == 200 and decoded(answer.data)["road"]["ids"] and not asked
    assert as_role("gas").get(TILE.format("water_pipe", *place(10))).status_code == 404, "hidden all the same"


def test_roles_that_see_other_columns_or_rows_are_drawn_for_by_themselves(painter):
    layer = catalog().layers["road"]
    before = tile_preparation._alike(layer)
    assert len(before) == 1 and {"anonymous", "planner", "admin"} <= set(before[0])
    rights.add("role", "planner", "road", filter="class = 'secondary'")
    alone = tile_preparation._alike(layer)
    assert ["planner"] in alone and len(alone) == 2


def test_it_stops_for_a_newer_version_rests_and_can_be_switched_off(painter, monkeypatch):
    drawn, draw = [], tile_preparation._draw

    def loaded_meanwhile(layer_id, *given):
        drawn.append(layer_id)
        if layer_id == "road" and drawn.count("road") == 2:
            put("road", {"road_id": f"R{len(drawn)}"})
        return draw(layer_id, *given)

    monkeypatch.setattr(tile_preparation, "_draw", loaded_meanwhile)
    painter.tick()
    assert drawn.count("road") == 2 and painter.courses["road"].done is None, "the third tile would be of another version"
    painter.quiet_s = 3600.0
    painter.tick()
    assert drawn.count("road") == 2, "changed a moment ago: it waits until the layer is quiet"
    painter.quiet_s = 0.0
    painter.tick()
    assert drawn.count("road") > 2 and painter.courses["road"].done
    many = drawn.count("road")
    put("road", {"road_id": "R9"})
    assert painter.tick() <= tile_preparation.LOOK_S and drawn.count("road") == many, "nine tenths of the time it rests"
    monkeypatch.setenv("ONEMAP_PREPARED_ZOOM", "-1")
    settings.cache_clear()
    painter.run()  # comes back at once
