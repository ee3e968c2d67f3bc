"""What a caller may not see does not exist for him: every role × every layer × every path, and callers whom rights narrow.

The answers are searched for tokens planted in every row of every layer (`expected_rights`); who may see which is read from the layer
files by a reader of the tests' own. A route that the matrix does not know (`routes_probed`) is a failure.
"""

from __future__ import annotations

import re
import struct
import uuid

import pytest
from api_rows import Caller
from expected_rights import ROLES, WEST, Expected, tokens
from psycopg2 import sql
from rights_matrix import BEFORE, LAYERS, NEVER, THOROUGHLY, Asker, Seen, bare, contents, is_named, path_for, questions, text_of, tile_of
from routes_probed import CHANGE, GET, Elsewhere

from gis.access import rights
from gis.access.roles import visible_catalog
from gis.api import sprites
from gis.api.app import create_app
from gis.api.tile_cache import cache
from gis.catalog.model import ROLES as THE_ROLES
from gis.db.connection import fetch, owner
from gis.settings import settings


def test_every_route_is_in_the_matrix(matrix):
    """A new route says in tests/api/routes_probed.py how it is asked, or why it is the same for everybody."""
    app = matrix["admin"][0].client.application
    for rule in app.url_map.iter_rules():
        for method in rule.methods - {"HEAD", "OPTIONS"}:
            known = rule.rule in GET if method == "GET" else (method, rule.rule) in CHANGE
            assert known, f"{method} {rule.rule} is not in the matrix of rights (tests/api/routes_probed.py)"
    for how in (*GET.values(), *CHANGE.values()):
        assert not isinstance(how, Elsewhere) or how.test in globals(), how.test
    document = matrix["admin"][0].get("/openapi").json
    adapter = app.url_map.bind("localhost")
    for path, methods in document["paths"].items():
        plain = re.sub(r"\{[^}]*\}", "1", path)
        for method in methods.keys() & {"get", "post", "put", "patch", "delete"}:
            assert adapter.test(plain, method.upper()), f"OpenAPI names {method} {path}, and there is no such route"
    assert set(ROLES) == set(THE_ROLES)


@pytest.mark.parametrize("names", [ROLES[:6], ROLES[6:], ("west",)], ids=["roles", "more roles", "narrowed"])
def test_hidden_layers_exist_on_no_path(matrix, names):
    for name in names:
        (caller, seen), asked = matrix[name], set()
        for pattern in (path for how in GET.values() if isinstance(how, tuple) for path in how[: None if name in THOROUGHLY else 1]):
            if "{" not in pattern:
                _ask_together(caller, seen, name, pattern)
                continue
            for layer in LAYERS.values():
                if (path := path_for(pattern, layer)) in asked:
                    continue
                asked.add(path)
                if not seen.layer(layer):
                    _ask_hidden(caller, name, pattern, layer)
                elif name in ("west", "anonymous") or not layer.reads("anonymous") or layer.restricted:
                    _ask_seen(caller, seen, name, pattern, layer)


def test_what_else_is_wrong_does_not_tell_either(matrix):
    """A mistake, a condition or another method is judged after whether there is a layer: for what is hidden as for what never was."""
    layer = LAYERS["water_pipe"]
    for pattern in [path for how in GET.values() if isinstance(how, tuple) for path in how[:1] if "{layer}" in path]:
        paths = [path_for(pattern, layer, named) for named in (layer.id, NEVER)]
        for method, behind, headers in Asker.ways(pattern):
            name = "anonymous" if behind else "gas"
            caller = matrix[name][0]
            hidden, never = (caller.client.open(p + behind, method=method, headers=caller.headers | headers) for p in paths)
            assert bare(hidden, layer) == bare(never, layer), f"{name} {method} {paths[0]}{behind} {headers}"


def _ask_together(caller: Caller, seen: Seen, name: str, path: str) -> None:
    answer = caller.get(path)
    assert answer.status_code in (200, 404), f"{name} {path}: {answer.status_code}"
    found, text = tokens(answer.get_data()), text_of(answer)
    assert all(seen.token(*token) for token in found), f"{name} {path} shows {found}"
    Asker.require_recorded(answer, found, f"{name} {path}")
    for layer in LAYERS.values():
        assert seen.layer(layer) or not is_named(layer, text), f"{name} sees {layer.id} on {path}"


def _ask_hidden(caller: Asker, name: str, pattern: str, layer: Expected) -> None:
    """What is hidden is answered as what never was."""
    answer = caller.get(path_for(pattern, layer))
    assert layer.id not in {layer_id for layer_id, _, _ in tokens(answer.get_data())}, f"{name} {pattern} {layer.id}"
    if "{layer}" in pattern or "{near}" in pattern:
        assert bare(answer, layer) == bare(caller.never(path_for(pattern, layer, NEVER)), layer), (
            f"{name} tells {layer.id} from what never was on {pattern}"
        )
        assert layer.description not in text_of(answer)
    else:
        assert not is_named(layer, text_of(answer)), f"{name} sees {layer.id} on {pattern}"


def _ask_seen(caller: Caller, seen: Seen, name: str, pattern: str, layer: Expected) -> None:
    """What is seen shows no token that is not."""
    answer = caller.get(path_for(pattern, layer))
    assert answer.status_code < 500, f"{name} {pattern} {layer.id}"
    found = tokens(answer.get_data())
    assert all(seen.token(*token) for token in found), f"{name} {pattern} {layer.id}: {[t for t in found if not seen.token(*t)]}"
    Asker.require_recorded(answer, found, f"{name} {pattern} {layer.id}")
    if layer.is_raster:
        return
    if pattern.endswith("/items") or pattern.endswith("download?f=csv"):
        assert seen.tokens(layer, "we") <= found, f"{name} {pattern} {layer.id} lacks {seen.tokens(layer, 'we') - found}"
    elif pattern.endswith("/items?as-of={before}"):
        assert seen.tokens(layer, "pq") <= found, f"{name} {pattern} {layer.id}"
    elif "resultType=hits" in pattern:
        assert answer.json["numberMatched"] == sum(seen.row(layer, row) for row in "we"), f"{name} {layer.id}"
    elif "limit=1" in pattern and "/items?limit=1" in pattern:
        assert seen.is_whole(layer) or "numberMatchedEstimate" not in answer.json, "an estimate counts what is hidden"
    if "{layer}" in pattern and (layer.restricted or not seen.is_whole(layer)):
        hidden = [column for column in layer.fields if not seen.column(layer, column)]
        for column in hidden if re.search("schema|queryables|tilejson|tiles/WebMercatorQuad$|styles", pattern) else ():
            assert f'"{column}"' not in text_of(answer) and f">{column}<" not in text_of(answer), f"{name} {pattern} {layer.id}.{column}"


def test_nobody_changes_what_he_may_not(matrix):
    """POST, PUT, PATCH, DELETE: what is hidden is answered as what never was, what may only be read stays as it is."""
    before = contents()
    for name, (caller, seen) in matrix.items():
        for (method, _), asked in CHANGE.items():
            for path, body in asked if isinstance(asked, tuple) else ():
                for layer in LAYERS.values():
                    may_write = not seen.is_narrowed and (seen.role == "admin" or seen.role in layer.write)
                    if layer.is_raster or may_write:
                        continue
                    given = {"headers": caller.headers, "method": method} | ({"json": body} if body is not None else {})
                    answer = caller.client.open(path_for(path, layer), **given)
                    if not seen.layer(layer):
                        never = caller.client.open(path_for(path, layer, NEVER), **given)
                        assert bare(answer, layer) == bare(never, layer), f"{name} {method} {layer.id}"
                    elif body is None or "op" not in body:
                        assert answer.status_code in (401, 403, 404, 405), f"{name} {method} {layer.id}: {answer.status_code} {answer.text}"
                    assert all(seen.token(*token) for token in tokens(answer.get_data())), f"{name} {method} {layer.id}"
    assert contents() == before


def test_hidden_columns_are_no_oracle(matrix):
    """A column that is hidden is answered, however it is asked about, with the words for one that never was."""
    for name, (caller, seen) in matrix.items():
        for layer in LAYERS.values():
            for column in layer.fields if seen.layer(layer) and (layer.restricted or name == "west") else ():
                if seen.column(layer, column) or column in layer.key:
                    continue
                for (path, how), (other, same) in zip(questions(column), questions(NEVER), strict=True):
                    ask = caller.post if how else caller.get
                    answer, never = ask(f"/collections/{layer.id}/{path}", **how), ask(f"/collections/{layer.id}/{other}", **same)
                    assert answer.status_code == never.status_code == 400, f"{name} {layer.id} {path}: {answer.status_code}"
                    assert answer.text.replace(column, "@").replace(answer.json["requestId"], "") == never.text.replace(NEVER, "@").replace(
                        never.json["requestId"], ""
                    ), f"{name} {layer.id} {path}"


def test_rows_beside_a_right_are_never_there(matrix):
    """Not by id, by filter, by count, by area, by order, in a tile, in the change feed."""
    west, seen = matrix["west"]
    layer = LAYERS["water_pipe"]
    hidden, never = west.get(f"/collections/water_pipe/items/{layer.id_of('e')}"), west.get("/collections/water_pipe/items/city:never")
    assert (hidden.status_code, hidden.json["detail"]) == (never.status_code, never.json["detail"]) == (404, never.json["detail"])
    for query in (
        f"pipe_id={layer.token('pipe_id', 'e')}",
        f"filter=pipe_id='{layer.token('pipe_id', 'e')}'",
        "bbox=117.05,31.9,117.1,32.1",
        "filter=S_INTERSECTS(geom,BBOX(117.05,31.9,117.1,32.1))",
        f"bbox=117.05,31.9,117.1,32.1&as-of={BEFORE}",
    ):
        assert west.get(f"/collections/water_pipe/items?{query}").json["features"] == [], query
        assert west.get(f"/collections/water_pipe/items?resultType=hits&{query}").json["numberMatched"] == 0, query
    for name, rows in (("water", 2), ("west", 1), ("water", 2)):
        told = matrix[name][0].get("/collections/catalogue/items/water_pipe").json["properties"]
        assert told["count"] == rows and ("batch" in told) == (rows == 2), "what is told of a delivery counts all of its rows"
    fed = west.get("/collections/water_pipe/changes")
    went = {(layer.id, column, "p") for column in layer.key}
    assert tokens(fed.get_data()) == seen.tokens(layer, "w") | went and len(fed.json["changes"]) == 2, (
        "what came, and what went in the west"
    )
    assert west.get(f"/collections/hydrant/items/{LAYERS['hydrant'].id_of('w')}").status_code == 200
    assert west.get(f"/collections/hydrant/items/{LAYERS['hydrant'].id_of('e')}").status_code == 404


def test_observations_are_for_whom_their_sensors_are(matrix):
    """Who sees a part of the sensors reads what these observed, and no more: in every answer, and in the database itself."""
    layer = LAYERS["sensor"]
    west, east = layer.token("sensor_id", "w"), layer.token("sensor_id", "e")
    for query in ("cube?bbox=116,31,118,33", "area?coords=POLYGON((116 31,118 31,118 33,116 33,116 31))",
                  "radius?coords=POINT(117 32)&within=50&within-units=km", "locations?limit=100"):  # fmt: skip
        for form in ("geojson",) if query.startswith("locations") else ("geojson", "csv", "covjson"):
            whole, part = (matrix[name][0].get(f"/collections/sensor/{query}&f={form}").text for name in ("water", "west"))
            assert (west in whole, east in whole) == (True, True), query
            assert (west in part, east in part) == (True, False), query
    assert matrix["west"][0].get(f"/collections/sensor/locations/{layer.id_of('w')}").status_code == 200
    hidden, never = (matrix["west"][0].get(f"/collections/sensor/locations/{name}") for name in (layer.id_of("e"), "never"))
    assert hidden.status_code == never.status_code == 404
    for query, seen in (("observation_series", 1), ("observation", 1)):
        (found,) = fetch(rights.role_of("west", "water"), "west", sql.SQL(f"SELECT count(*) FROM pub.{query}"))
        assert found == (seen,)
    right = rights.add("user", "west", "sensor", columns=("name",))
    try:  # values are none of the columns that are left
        assert "4711" not in matrix["west"][0].get("/collections/sensor/cube?bbox=116,31,118,33").text
    finally:
        rights.remove(right)


def test_a_cached_tile_is_not_given_to_another(matrix):
    layer = LAYERS["water_pipe"]
    for order in (("water", "west", "anonymous", "gas"), ("west", "water", "gas", "anonymous")):
        cache.clear()
        for path in ("/collections/water_pipe/tiles", "/groups/pipe/tiles", "/tiles"):
            etags = {}
            for name in order:
                answer = matrix[name][0].get(f"{path}/WebMercatorQuad/{tile_of(layer, 'e')}")
                shown = {token for token in tokens(answer.get_data()) if token[0] == layer.id}
                assert bool(shown) == (name == "water"), f"{name} {path}"
                if answer.status_code in (200, 204):
                    assert answer.headers["Cache-Control"].startswith("private") or name == "anonymous"
                    etags[name] = answer.headers["ETag"]
            assert etags.get("water") != etags.get("west")
            if path.startswith("/coll"):
                again = matrix["west"][0].get(f"{path}/WebMercatorQuad/{tile_of(layer, 'e')}", headers={"If-None-Match": etags["water"]})
                assert again.status_code != 304, "what another was given is not what he has"


def test_processes_exist_for_those_who_may_read_their_layers(matrix):
    from gis import processes

    for name, (caller, seen) in matrix.items():
        listed = {process["id"] for process in caller.get("/processes").json["processes"]}
        for process in processes.processes().values():
            reads = all(seen.layer(LAYERS[layer]) for layer in process.layers)
            reads &= not process.any_of or any(seen.layer(LAYERS[layer]) for layer in process.any_of)
            writes = all(not seen.is_narrowed and (seen.role == "admin" or seen.role in LAYERS[layer].write) for layer in process.writes)
            described, run = caller.get(f"/processes/{process.id}"), f"/processes/{process.id}/execution"
            assert (process.id in listed) == (described.status_code == 200) == (reads and writes), f"{name} {process.id}"
            if not (reads and writes):
                for hidden, never in (
                    (described, caller.get("/processes/never_was")),
                    (caller.post(run, json={}), caller.post("/processes/never_was/execution", json={})),
                ):
                    assert hidden.status_code == never.status_code == 404 and hidden.json["detail"] == never.json["detail"]
            elif not all(seen.is_whole(LAYERS[layer]) for layer in (*process.layers, *process.any_of)):
                for how in ({}, {"Prefer": "respond-async"}):
                    answer = caller.post(run, json={"inputs": process.example}, headers=how)
                    assert answer.status_code == 403 and "the whole of" in answer.text, f"{name} {process.id}: {answer.text}"
                    assert not tokens(answer.get_data())


def test_jobs_are_their_owners(matrix):
    with owner() as connection, connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO meta.job (process, inputs, user_name, role, status, progress, result) VALUES"
            " ('geocode', %s, 'test-water', 'water', 'successful', 100, %s) RETURNING id::text",
            ('{"text": "zqjob"}', '{"found": "zqjob"}'),
        )
        job = cursor.fetchone()[0]
    other = str(uuid.uuid4())
    for name, (caller, _) in matrix.items():
        paths = ("/jobs/{}", "/jobs/{}/results", "/jobs/{}?f=html")
        if name == "water":
            assert all("zqjob" in caller.get(path.format(job)).text for path in paths[:2]) and job in caller.get("/jobs").text
            continue
        sees = name == "admin"  # the administrator sees which jobs there are
        assert (job in caller.get("/jobs").text) == sees, name
        for path in paths if not sees else ():
            mine, none = caller.get(path.format(job)), caller.get(path.format(other))
            assert (mine.status_code, "zqjob" in mine.text) == (none.status_code, False) == (404, False), f"{name} {path}"
        if not sees:
            assert caller.delete(f"/jobs/{job}").status_code == caller.delete(f"/jobs/{other}").status_code == 404
    right = rights.add("user", "test-water", "address", area=",".join(map(str, WEST)))
    assert matrix["water"][0].get(f"/jobs/{job}/results").status_code == 403, (
        "what was made of the whole is not given to who sees a part now"
    )
    rights.remove(right)
    assert matrix["water"][0].get(f"/jobs/{job}/results").status_code == 200


def test_the_audit_is_the_auditors(matrix):
    """It names layers, users and areas: for everybody else the path does not exist."""
    for name, (caller, _) in matrix.items():
        never = caller.get("/never_was")
        for path in ("/audit", "/audit/areas", "/audit?layer=water_pipe&f=csv"):
            answer = caller.get(path)
            assert answer.status_code == (200 if name == "auditor" else never.status_code), f"{name} {path}"
            assert not tokens(answer.get_data()) or name == "auditor"


def test_signs_are_those_of_the_layers_that_are_seen(matrix):
    """Pictograms are everybody's; a sign of a layer is called after it. The picture has a sign for each name and no other."""
    for name in ("anonymous", "power", "west", "admin"):
        caller, seen = matrix[name]
        for size in ("", "@2x"):
            index = caller.get(f"/sprites/onemap{size}.json").json
            named = {sign.partition(":")[0] for sign in index.keys() - sprites.PICTOGRAMS.keys()}
            assert all(seen.layer(LAYERS[layer]) for layer in named), f"{name} {named}"
            width, height = struct.unpack(">II", caller.get(f"/sprites/onemap{size}.png").get_data()[16:24])
            side = next(iter(index.values()))["width"]
            assert width * height // side**2 - len(index) < width // side


def test_a_door_plates_page_says_what_the_plate_says(matrix):
    """Whoever holds the token of a plate reads its address; nothing else of the plate, for no role."""
    plate, allowed = (
        LAYERS["door_plate"],
        {("door_plate", column) for column in ("plate_id", "code", "address", "road", "number", "police_station")},
    )
    with owner() as connection, connection.cursor() as cursor:
        cursor.execute("UPDATE core.door_plate SET token = 'tokenofawesternplate' WHERE plate_id = %s", (plate.token("plate_id", "w"),))
    for name in ("anonymous", "west", "gas"):
        answer = matrix[name][0].get("/d/tokenofawesternplate?f=json")
        assert {(layer, column) for layer, column, _ in tokens(answer.get_data())} <= allowed, answer.text
        Asker.require_recorded(answer, tokens(answer.get_data()), "the page of a plate")
    assert matrix["anonymous"][0].get("/d/tokenofnoplatewhatever").status_code == 404


def test_a_network_shows_no_label_above_its_own(matrix, monkeypatch):
    """政务外网 shows nothing labelled 敏感, 互联网 what is 公开 only: to no role, on no path."""
    for network, shown in (("government", ("公开", "内部")), ("internet", ("公开",))):
        monkeypatch.setenv("ONEMAP_NETWORK", network)
        _forget()
        app = create_app()
        caller = Asker(app.test_client(), matrix["admin"][0].headers)
        listed = {one["id"] for one in caller.get("/collections").json["collections"]}
        for layer in LAYERS.values():
            exists = layer.label in shown
            assert (layer.id in listed) == exists, f"{network} {layer.id}"
            for pattern in ("/collections/{layer}", "/collections/{layer}/items", "/collections/{layer}/tiles/WebMercatorQuad/{tile}",
                            "/collections/{layer}/download?f=csv", "/styles/{layer}", "/collections/{layer}/changes"):  # fmt: skip
                if not exists:
                    _ask_hidden(caller, network, pattern, layer)
        for path in (
            "/",
            "/openapi",
            "/catalog",
            "/styles/onemap",
            "/processes",
            "/qgis/city.qgz",
            "/collections/catalogue/items?limit=1000",
        ):
            text = caller.get(path).get_data()
            hidden = [
                layer.id for layer in LAYERS.values() if layer.label not in shown and is_named(layer, text.decode("utf-8", "replace"))
            ]
            assert not hidden and all(LAYERS[layer].label in shown for layer, _, _ in tokens(text)), f"{network} {path} {hidden}"

    monkeypatch.undo()
    _forget()


def _forget() -> None:
    """What a process keeps for good while it serves one network."""
    settings.cache_clear()
    visible_catalog.cache_clear()
    cache.clear()


def test_the_label_goes_with_the_layer(matrix):
    caller = matrix["water"][0]
    for layer in ("road", "door_plate", "water_pipe"):
        assert caller.get(f"/collections/{layer}").json["label"] == LAYERS[layer].label
        name = caller.get(f"/collections/{layer}/download?f=csv").headers["Content-Disposition"]
        assert ("sensitive" in name) == (LAYERS[layer].label == "敏感") and ("internal" in name) == (LAYERS[layer].label == "内部")


def test_a_role_is_not_kept_from_one_request_to_the_next(matrix):
    water, nobody = matrix["water"][0], matrix["anonymous"][0]
    for _ in range(3):
        assert water.get("/collections/water_pipe/items").status_code == 200
        assert nobody.get("/collections/water_pipe/items").status_code == 404


def test_access_to_restricted_layers_is_in_the_audit(matrix):
    """With the area that was given out, and under the user's own role where rights narrow him."""
    layer = LAYERS["water_pipe"]
    for name, user in (("water", "test-water"), ("west", "west")):
        with owner() as connection, connection.cursor() as cursor:
            cursor.execute("SELECT max(id) FROM access.audit")
            last = cursor.fetchone()[0]
        caller = matrix[name][0]
        caller.get("/collections/water_pipe/items?bbox=116.8,31.9,117.0,32.1")
        caller.get(f"/collections/water_pipe/items/{layer.id_of('w')}")
        assert caller.get(f"/collections/water_pipe/tiles/WebMercatorQuad/{tile_of(layer, 'w')}").status_code == 200
        caller.get("/collections/road/items")
        with owner() as connection, connection.cursor() as cursor:
            cursor.execute("SELECT user_name, role, action, layer, n, detail FROM access.audit WHERE id > %s ORDER BY id", (last,))
            rows = cursor.fetchall()
        assert [row[:5] for row in rows] == [(user, "water", action, "water_pipe", 1) for action in ("items", "item", "tile")]
        assert rows[0][5]["bbox"] == [116.8, 31.9, 117.0, 32.1] and rows[1][5]["id"] == layer.id_of("w") and len(rows[2][5]["bbox"]) == 4
