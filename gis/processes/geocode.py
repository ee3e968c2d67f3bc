"""From a text to positions: exact first, then road and number, then what is written or sounds alike; ties are all given.

The database finds candidates by its indexes; `gis.analysis.address` splits, compares and ranks them.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import time
from collections.abc import Iterable, Iterator

import psycopg2.errors
from cachetools import LRUCache
from pydantic import Field

from gis.analysis import address
from gis.analysis.address import Gazetteer, Parts
from gis.catalog.model import Text
from gis.db.connection import translating
from gis.db.store import Store
from gis.processes import Inputs, Process

SIMILAR = 0.6
"""Word similarity (pg_trgm) below which a text is not called similar."""
SIMILAR_TIMEOUT_MS = 2_000
TIE = 1e-6
CANDIDATES = 200
CHUNK, WORTH_A_PASS = 10_000, 200
"""Texts of a file that are answered together, and how many are worth a pass over all addresses."""
AT_MOST_SIMILAR = 0.75
"""The score of an answer that only looks alike stays below that of one whose components agree."""

_gazetteers: LRUCache[tuple[str, ...], Gazetteer] = LRUCache(maxsize=8)


class GeocodeInputs(Inputs):
    """What to look for."""

    text: str = Field(title="地址 Address", description="地址或地名 / An address or the name of a place, as typed", max_length=20_000)
    limit: int = Field(10, ge=1, le=100, title="条数 Limit", description="最多返回条数 / At most so many answers; ties may exceed it")


def gazetteer(store: Store) -> Gazetteer:
    """The names of areas, roads and compounds, read once per database, data version and role."""
    identity = store.rows("database_identity")[0]["identity"]
    key = (identity, store.role, store.version(["address", "place_name", "admin_area"]))
    if key not in _gazetteers:
        names: dict[str, list[tuple[str, str]]] = {"area": [], "road": [], "compound": []}
        for row in store.rows("geocode_gazetteer"):
            if row["typed"]:
                names[row["kind"]].append((row["typed"], row["name"]))
        _gazetteers[key] = Gazetteer.of(names["area"], names["road"], names["compound"])
    return _gazetteers[key]


def find(store: Store, text: str, limit: int = 10) -> dict:
    """The answer for one text: {query, normalised, ambiguous, results: [...]}; see `run`."""
    text = address.checked(text)
    names = gazetteer(store)
    form = address.normalised(text)
    parts = names.split(form)
    found = _exact(store, text, form) or _ranked(store, names, form, parts)
    best = [row for row in found if row["score"] >= found[0]["score"] - TIE]
    ambiguous = len({(round(row["lon"], 5), round(row["lat"], 5)) for row in best}) > 1
    for row in best:
        row["ambiguous"] = ambiguous
    return {
        "query": text,
        "normalised": form,
        "ambiguous": ambiguous,
        "results": found[: max(limit, len(best)) if ambiguous else limit],
    }


def _exact(store: Store, text: str, form: str) -> list[dict]:
    spellings = list(dict.fromkeys([text, address.tidy(text), form]))
    rows = store.rows("geocode_exact", texts=spellings, day=dt.date.today())
    return [_answer(row, 1.0, "exact") for row in rows]


def _ranked(store: Store, names: Gazetteer, form: str, parts: Parts) -> list[dict]:
    """Candidates of the first way that yields any, best first, each address once."""
    for way in (_by_road, _by_compound, _by_name, _by_road_alone, _by_part, _by_similarity):
        rows = way(store, names, form, parts)
        if rows:
            rows.sort(key=lambda row: (-row["score"], len(row["full_text"]), row["full_text"], row["address_id"] or ""))
            return rows
    return []


def _by_road(store: Store, names: Gazetteer, form: str, parts: Parts) -> list[dict]:
    """Road and number by index; where the road is misspelt, those that sound or look like it with the same number."""
    if not parts.road or not parts.number:
        return []
    roads = {parts.road: 1.0} if parts.road in names.roads else names.similar_roads(parts.road)
    if not roads:
        return []
    spelt = sorted(set().union(*(names.roads[road] for road in roads)))
    for deeper in dict.fromkeys([(parts.building, parts.unit, parts.room), (parts.building, "", ""), ("", "", "")]):
        rows = _candidates(store, "geocode_road", parts.number, deeper, roads=spelt)
        if rows:
            return _compared(names, parts, rows, roads)
    return []


def _by_compound(store: Store, names: Gazetteer, form: str, parts: Parts) -> list[dict]:
    if not parts.compound:
        return []
    spelt = sorted(names.compounds[parts.compound])
    whole = (parts.building, parts.unit, parts.room)
    for number, *deeper in dict.fromkeys([(parts.number, *whole), ("", *whole), ("", parts.building, "", ""), ("",) * 4]):
        rows = _candidates(store, "geocode_compound", number, deeper, compounds=spelt)
        if rows:
            return _compared(names, parts, rows, {})
    return []


def _candidates(store: Store, query: str, number: str, deeper: Iterable[str], **where) -> list[dict]:
    given = dict(zip(("numbers", "buildings", "units", "rooms"), (number, *deeper), strict=True))
    spelt = {name: address.spellings(part) if part else None for name, part in given.items()}
    return store.rows(query, **where, **spelt, day=dt.date.today(), limit=CANDIDATES)


def _compared(names: Gazetteer, parts: Parts, rows: list[dict], roads: dict[str, float]) -> list[dict]:
    """Candidates with their agreement; `roads` says how well each road agrees with the one typed (1: it, or its alias)."""
    by_name = {address.tidy(spelt): agreed for road, agreed in roads.items() for spelt in names.roads[road]}
    found = []
    for row in rows:
        given = names.split(address.normalised(row["full_text"]))
        score = address.agreement(parts, given, road=by_name.get(given.road))
        level = "exact" if score >= 1 - TIE else "road_number" if given.road in by_name else "compound"
        found.append(_answer(row, score, level))
    return found


def _by_name(store: Store, names: Gazetteer, form: str, parts: Parts) -> list[dict]:
    """What is there: 县医院. The whole name agrees fully, a part of it by its share of the letters."""
    wanted = form.removeprefix("".join(parts.areas)) or form
    if parts.road:
        return []
    rows = store.rows("geocode_name", text=wanted, pattern=f"%{_escaped(wanted)}%", day=dt.date.today())
    whole = any(row["name"] == wanted for row in rows)
    return [
        _answer(row, 0.95 * len(wanted) / len(row["name"]), "name" if row["address_id"] else "place")
        for row in rows
        if not whole or row["name"] == wanted
    ]


def _by_road_alone(store: Store, names: Gazetteer, form: str, parts: Parts) -> list[dict]:
    """The middle of the road, where no number is given or none is known, with the radius within which it lies."""
    if not parts.road:
        return []
    roads = {parts.road: 1.0} if parts.road in names.roads else names.similar_roads(parts.road, at_least=60)
    score = 0.5 if parts.number else 0.9
    spelt = {name: agreement for road, agreement in roads.items() for name in names.roads[road]}
    rows = store.rows("geocode_road_centre", roads=sorted(spelt))
    return [
        {
            "address_id": None, "full_text": row["name"], "lon": row["lon"], "lat": row["lat"], "plate_id": None,
            "score": round(score * spelt[row["name"]], 4), "level": "road", "radius_m": row["radius_m"],
        }
        for row in rows
    ]  # fmt: skip


def _by_part(store: Store, names: Gazetteer, form: str, parts: Parts) -> list[dict]:
    if len(form) < 3:
        return []
    rows = store.rows("geocode_part", pattern=f"%{_escaped(form)}%", day=dt.date.today())
    return [_answer(row, AT_MOST_SIMILAR * len(form) / len(row["full_text"]) + 0.2, "part") for row in rows]


def _by_similarity(store: Store, names: Gazetteer, form: str, parts: Parts) -> list[dict]:
    """What looks alike by trigrams, without the areas that all addresses share; nothing where that takes too long."""
    wanted = form.removeprefix("".join(parts.areas)) or form
    if len(wanted) < 3:
        return []
    with _bounded(store) as rows:
        rows += store.rows("geocode_trigram", text=wanted, day=dt.date.today())
    asked = parts if parts.road or parts.compound else None
    found = []
    for row in rows:
        given = names.split(address.normalised(row["full_text"]))
        agreed = address.agreement(asked, given) if asked else row["similarity"]
        found.append(_answer(row, AT_MOST_SIMILAR * (row["similarity"] + agreed) / 2, "trigram"))
    return found


@contextlib.contextmanager
def _bounded(store: Store) -> Iterator[list]:
    """Within it the threshold of similarity and a short time-out hold; a statement that exceeds it yields nothing."""
    with translating(), store.connection.cursor() as cursor:
        cursor.execute("SHOW statement_timeout")
        usual = cursor.fetchone()[0]
        cursor.execute("SAVEPOINT before_similarity")
        cursor.execute(
            "SELECT set_config('pg_trgm.word_similarity_threshold', %s, true), set_config('statement_timeout', %s, true)",
            (str(SIMILAR), str(SIMILAR_TIMEOUT_MS)),
        )
        try:
            yield []
        except Exception as error:
            if not isinstance(error.__cause__, psycopg2.errors.QueryCanceled):
                raise
            cursor.execute("ROLLBACK TO SAVEPOINT before_similarity")
        cursor.execute("SELECT set_config('statement_timeout', %s, true)", (usual,))


def _escaped(text: str) -> str:
    """A text within a LIKE pattern."""
    return text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")


def _answer(row: dict, score: float, level: str) -> dict:
    return {
        "address_id": row["address_id"], "full_text": row["full_text"], "lon": round(row["lon"], 7),
        "lat": round(row["lat"], 7), "score": round(float(score), 4), "level": level, "plate_id": row["plate_id"],
    }  # fmt: skip


def find_all(store: Store, texts: list[str], progress=None) -> Iterator[dict]:
    """The answers for many texts, in their order; those written exactly as in the data are found in one pass.

    A text that is no address (blank, too long) is answered with `error` instead of failing the rest.
    """
    for first in range(0, len(texts), CHUNK):
        chunk = texts[first : first + CHUNK]
        exact = _exact_of_many(store, chunk) if len(chunk) >= WORTH_A_PASS else {}
        for item, text in enumerate(chunk):
            rows = exact.get(item, [])
            if len(rows) == 1:
                yield {"query": text, "normalised": text, "ambiguous": False, "results": [rows[0] | {"ambiguous": False}]}
            else:
                yield _found_or_said(store, text)
            if progress and item % 100 == 0:
                progress((first + item) / len(texts), f"{first + item:,} / {len(texts):,}")


def _found_or_said(store: Store, text: str) -> dict:
    try:
        return find(store, text, 5)
    except address.InputError as error:
        return {"query": text, "normalised": "", "ambiguous": False, "results": [], "error": error.what}


def _exact_of_many(store: Store, texts: Iterable[str]) -> dict[int, list[dict]]:
    items, spelt = [], []
    for item, text in enumerate(texts):
        if 0 < len(text) <= address.MAX_TEXT and (tidy := address.tidy(text)):
            items.append(item)
            spelt.append(tidy)
    found: dict[int, list[dict]] = {}
    for row in store.rows("geocode_exact_batch", items=items, texts=spelt, day=dt.date.today()):
        found.setdefault(row["item"], []).append(_answer(row, 1.0, "exact"))
    return found


def run(store: Store, inputs: GeocodeInputs, progress=None) -> dict:
    """{query, normalised, ambiguous, results: [{address_id, full_text, lon, lat, score, level, plate_id, ambiguous?}],
    data_version, seconds}; best first; an empty list where nothing fits. Positions are longitude and latitude (EPSG:4490).

    level: exact, road_number, compound, name, place, road (the middle of the road, radius_m says how far off), part, trigram.
    """
    started = time.perf_counter()
    store.require(PROCESS.layers)
    answer = find(store, inputs.text, inputs.limit)
    return answer | {
        "data_version": store.version(PROCESS.layers),
        "seconds": round(time.perf_counter() - started, 4),
    }


PROCESS = Process(
    id="geocode",
    title=Text(zh="地址查询", en="Geocode"),
    description=Text(
        zh="把地址或地名变为坐标：繁简、全角、中文数字、错别字均可；有歧义时全部列出，不猜。",
        en="From an address or the name of a place to positions; what is ambiguous is listed, not guessed.",
    ),
    inputs=GeocodeInputs,
    run=run,
    layers=("address", "place_name", "admin_area"),
    keywords=("地址", "地名", "geocoding", "address"),
    example={"text": "人民路16号"},
)
