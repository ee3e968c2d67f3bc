"""The burst book on the sample city: what it says of a segment is the burst's answer, every segment and valve is in it, and it prints.
The same answers as a map of what matters most."""

import base64
import json
from html.parser import HTMLParser

import numpy as np
import pytest
from serving import database, environment, onemap

from gis.db import connection
from gis.db.store import Store
from gis.errors import AccessDenied, NotFound
from gis.processes import burst_book, criticality_map, network_criticality, pipe_burst
from gis.processes._water_network import water
from gis.processes.paper import book_pages
from gis.processes.paper.book import valves_of
from gis.settings import settings


class _Text(HTMLParser):
    """The words of a page."""

    def __init__(self, page):
        super().__init__()
        self.words = []
        self.feed(page)

    def handle_data(self, data):
        self.words.append(data)


@pytest.fixture(scope="module")
def city(loaded_city, tmp_path_factory):
    """A copy of the sample city; the settings of this module's tests point to it."""
    home = tmp_path_factory.mktemp("book") / "home"
    with database("book_city", loaded_city.database) as name, pytest.MonkeyPatch.context() as patch:
        env = environment(name, home)
        for key, value in env.items():
            if key.startswith("ONEMAP_"):
                patch.setenv(key, value)
        connection.close_pool()
        settings.cache_clear()
        yield env
        connection.close_pool()
    settings.cache_clear()


def quiet(share, what):
    assert 0 <= share <= 1


@pytest.fixture(scope="module")
def book(city):
    with Store("water") as store:
        return burst_book.book(store, "city", "grid", quiet)


def test_every_segment_is_in_the_book_once(city, book):
    with Store("water") as store:
        part = water(store, "city").engine.segments
    entries = list(book.entries.values())
    assert sorted(e.segment for e in entries) == np.flatnonzero(np.diff(part.pipe_at) > 0).tolist()
    assert list(book.entries) == [e.number for e in entries] == list(range(1, len(entries) + 1))
    assert sorted(n for p in book.pages for n in p.entries) == list(book.entries)
    named = {v for e in entries for v in valves_of(e)}
    numbers = [int(book.valve_number[v]) for v in named]
    assert sorted(numbers) == list(range(1, len(named) + 1))


def test_an_entry_is_the_answer_of_a_burst_on_its_pipes(city, book):
    ids = book.valves["valve_id"].tolist()
    with Store("water") as store:
        for entry in list(book.entries.values())[::7]:
            answer = pipe_burst.run(store, pipe_burst.BurstInputs(pipe=entry.pipes[-1]), quiet)
            valves = answer["valves"]
            assert [ids[v] for v in entry.close] == valves["close"] and [ids[v] for v in entry.optional] == valves["optional"]
            assert entry.customers == answer["affected"]["customers"] and entry.isolated == answer["isolated"]
            for valve, beyond in zip(valves["close"], entry.beyond, strict=True):
                again = pipe_burst.run(store, pipe_burst.BurstInputs(pipe=entry.pipes[-1], stuck=[valve]), quiet)
                assert {book.entries[book.number_of[s]].name for s in beyond if s in book.number_of} <= set(again["segments"])
            assert entry.sources == answer["sources_to_shut"]
            assert sum(map(len, entry.plates.values())) <= len(answer["affected"]["doorplates"])


def test_a_sheet_names_what_the_crew_needs(book):
    page = max(book.pages, key=lambda p: len(p.entries))
    html = book_pages.sheet(book, page)
    words = _Text(html).words
    text = "".join(words)
    assert "http" not in html.replace("http://www.w3.org/2000/svg", "")
    for number in page.entries:
        entry = book.entries[number]
        assert words.count(f"S{number}") >= 2  # on the map and at its table
        assert f"{entry.customers} 户" in text
        for valve in entry.close:
            assert book.valves["valve_id"].iloc[valve] in words and str(book.valve_number[valve]) in words
    assert book.version in text and book.day.isoformat() in text
    index = "".join(_Text(book_pages.indexes(book)).words)
    assert all(street in index for e in book.entries.values() for street in e.streets)


def test_by_zone_and_with_a_limit(city):
    with Store("water") as store:
        zones = burst_book.book(store, "city", "zone", quiet)
        one = burst_book.book(store, "city", "zone", quiet, limit=1)
    assert {p.code for p in zones.pages} <= {"DMA01", "DMA02", "DMA03", ""} and len(zones.pages) >= 2
    assert len(one.pages) == 1 and list(one.entries) == one.pages[0].entries
    assert book_pages.sheet(one, one.pages[0]) and book_pages.cover(one) and book_pages.indexes(one)


def test_a_volume_has_the_numbers_of_the_whole(city, book):
    code = book.pages[0].code
    with Store("water") as store:
        volume = burst_book.book(store, "city", "grid", quiet, areas=[code])
        with pytest.raises(NotFound):
            burst_book.book(store, "city", "grid", quiet, areas=["0000"])
        town = burst_book.book(store, "city", "grid", quiet, areas=[code[:6]])
    own = [p for p in book.pages if p.code == code]
    assert [(p.number, p.entries, p.neighbours) for p in volume.pages] == [(p.number, p.entries, p.neighbours) for p in own]
    assert {n: e.name for n, e in volume.entries.items()} == {n: book.entries[n].name for p in own for n in p.entries}
    assert {p.code[:6] for p in town.pages} == {code[:6]} and len(town.pages) > len(own)
    assert any("他册" in book_pages.sheet(volume, p) for p in volume.pages)
    parts = list(burst_book.volumes(town, 2))
    assert [len(p.pages) for p in parts[:-1]] == [2] * (len(parts) - 1) and {n for p in parts for n in p.entries} == set(town.entries)


def test_only_who_may_see_pipes_gets_a_book(city):
    with Store("anonymous") as store, pytest.raises(AccessDenied):
        burst_book.book(store, "city", "grid", quiet)
    with Store("water") as store, pytest.raises(NotFound):
        burst_book.book(store, "nowhere", "grid", quiet)


def test_the_command_prints_it(city, tmp_path):
    out = tmp_path / "book.pdf"
    answer = json.loads(onemap("burst-book", "--out", str(out), "--limit", "2", "--json", env=city))
    assert answer["sheets"] == 2 and answer["pages"] >= 5 and answer["out"] == ["book.pdf"]
    assert out.read_bytes().startswith(b"%PDF-") and not list(tmp_path.glob("*.part"))
    onemap("burst-book", "--out", str(out), "--limit", "2", "--volume", "1", "--area", "9999", env=city)
    assert sorted(p.name for p in tmp_path.glob("book-*.pdf")) == ["book-1.pdf", "book-2.pdf"]


def test_the_process_hands_the_book_out_by_value(city):
    with Store("water") as store:
        answer = burst_book.run(store, burst_book.BurstBookInputs(limit=1), quiet)
    made = answer["document"]
    assert made["mediaType"] == "application/pdf" and base64.b64decode(made["value"]).startswith(b"%PDF-") and answer["sheets"] == 1
    json.dumps(answer)


def test_criticality_on_the_map(city):
    with Store("water") as store:
        answer = criticality_map.run(store, criticality_map.CriticalityMapInputs(classes=4), quiet)
        known = water(store, "city")
        ranking = network_criticality.segment_ranking(known).set_index("segment_id")
    shown = [f["properties"] for f in answer["features"]["features"]]
    pipes = [p for p in shown if p["part"] == "segment"]
    assert len(pipes) == known.engine.network.n_pipes
    for part, layer in answer["layers"].items():
        own = [p for p in shown if p["part"] == part]
        assert own and 2 <= len(layer["classes"]) <= 4
        for p in own:
            step, value = layer["classes"][p["class"]], p[layer["property"]]
            assert p["color"] == step["color"]
            assert (step["from"] is None or value >= step["from"]) and (step["to"] is None or value < step["to"])
    assert all(p["affected_customers"] == ranking.loc[p["segment_id"], "affected_customers"] for p in pipes)
    json.dumps(answer)
