"""The sample city on the road in: the clean one without a finding, the faulty one with exactly the planted faults."""

from __future__ import annotations

import json

from typer.testing import CliRunner

from etl import synthetic_city
from etl.city import delivery
from gis.catalog import checks, read
from gis.cli.main import application
from gis.db.connection import owner


def _findings(batch: int) -> set[tuple[str, int, str]]:
    with owner() as link, link.cursor() as cursor:
        cursor.execute("SELECT layer, src_row, code FROM meta.finding WHERE batch = %s AND src_row IS NOT NULL", (batch,))
        return set(cursor.fetchall())


def test_the_clean_city_loads_without_a_finding_by_the_command(store_db, city):
    done = CliRunner().invoke(application(), ["city", "load", str(city.folder), "--json"], catch_exceptions=False)
    answer = json.loads(done.stdout)
    assert answer["rows_rejected"] == 0 and answer["rows_loaded"] == answer["rows_read"] > 9000
    assert not _findings(answer["batches"][0])
    assert {o["layer"] for r in answer["loads"] for o in r["layers"]} >= set(city.summary["layers"])


def test_the_smallest_town_loads_too(store_db, tmp_path):
    made = synthetic_city.make(synthetic_city.LEAST, 1, tmp_path)
    result = delivery.load(read.catalog(), tmp_path)[0]
    assert any(not rows for rows in made["layers"].values()), "a town without some of the things that cities have"
    assert result.status == "published" and result.rows_rejected == 0 and result.rows_loaded == sum(made["layers"].values())


def test_exactly_the_planted_faults_are_found(store_db, faulty_city):
    manifest = json.loads((faulty_city.folder / "manifest.json").read_text("utf-8"))
    result = delivery.load(read.catalog(), faulty_city.folder)[0]
    planted = {(m["layer"], m["row"], m["code"]) for m in manifest}
    found = _findings(result.batch)
    assert found - planted == set() and planted - found == set()


def test_faults_of_every_kind_are_planted(faulty_city):
    manifest = json.loads((faulty_city.folder / "manifest.json").read_text("utf-8"))
    catalog = read.catalog()
    every = {check.code for layer in catalog.layers.values() for check in checks.of(layer, catalog)}
    assert every - {m["code"] for m in manifest} == set()
