"""What a caller may not see does not exist for him: every role, every layer, every path."""

from __future__ import annotations

import pytest
from api_rows import PASSWORD, basic, put

from gis.access import accounts
from gis.api import process as served
from gis.catalog.model import ROLES
from gis.catalog.read import catalog
from gis.db.connection import owner

TILE = "/collections/{}/tiles/WebMercatorQuad/15/13306/27033"
ALONE = (
    "/collections/{}",
    "/collections/{}/items",
    "/collections/{}/items/{}",
    "/collections/{}/schema",
    "/collections/{}/queryables",
    "/collections/{}/tiles",
    "/collections/{}/tiles/WebMercatorQuad",
    "/collections/{}/tiles/WebMercatorQuad?f=tilejson",
    TILE,
    "/styles/{}",
    "/styles/{}?f=qml",
    "/collections/{}?f=html",
    "/collections/{}/items?f=html",
    "/collections/{}/items?f=csv",
    "/collections/{}/items?resultType=hits",
    "/collections/{}/items?f=jsonld",
)
TOGETHER = (
    "/",
    "/?f=html",
    "/?f=jsonld",
    "/collections",
    "/collections?f=html",
    "/collections?f=jsonld",
    "/openapi",
    "/openapi?f=html",
    "/catalog",
    "/styles/onemap",
    "/processes",
    "/processes?f=html",
    "/conformance",
    "/jobs",
    "/metrics",
)


def the_id(layer) -> str:
    return ":".join(str(layer.example[name]) for name in layer.key)


@pytest.mark.parametrize("role", ROLES)
def test_hidden_layers_exist_on_no_path(as_role, role):
    client = as_role(role)
    hidden = [layer for layer in catalog().vectors if not layer.readable_by(role)]
    shown = [layer for layer in catalog().vectors if layer.readable_by(role)]
    assert shown and (hidden or role in ("admin", "planner"))
    nothing = client.get("/collections/no_such_layer").json
    for layer in hidden:
        for path in ALONE:
            answer = client.get(path.format(layer.id, the_id(layer)))
            assert answer.status_code == 404, f"{role} {path} {layer.id}"
            assert layer.title.zh not in answer.text
            if answer.is_json and "f=" not in path:
                assert answer.json["detail"] == nothing["detail"], "the same words as for what never was"
        assert client.post(f"/collections/{layer.id}/items", json={"op": "isNull", "args": [{"property": "x"}]}).status_code == 404
        assert client.client.options(f"/collections/{layer.id}/items", headers=client.headers).status_code == 404
    for layer in shown:
        assert client.get(f"/collections/{layer.id}/items/{the_id(layer)}").status_code == 200, f"{role} {layer.id}"
        assert client.get(f"/collections/{layer.id}/items").json["numberReturned"] == 1
    texts = {path: client.get(path).text for path in TOGETHER}
    for layer in hidden:
        for path, text in texts.items():
            named = (f'"{layer.id}"', f"/{layer.id}/", f"/{layer.id}?", f"/{layer.id}<", layer.description.zh)
            assert not any(name in text for name in named), f"{role} sees {layer.id} on {path}"
    for layer in shown:
        assert f'"{layer.id}"' in texts["/collections"] and f"/collections/{layer.id}/items" in texts["/openapi"]


@pytest.mark.parametrize("role", ROLES)
def test_hidden_columns_exist_in_no_answer(as_role, role):
    client = as_role(role)
    for layer in catalog().vectors:
        if not layer.readable_by(role):
            continue
        items = f"/collections/{layer.id}/items"
        for column in layer.columns.keys() - layer.columns_for(role).keys():
            secret = str(layer.example.get(column) or "")
            for path in (
                items,
                f"{items}?f=html",
                f"{items}?f=csv",
                f"{items}?f=jsonld",
                f"{items}/{the_id(layer)}",
                f"{items}/{the_id(layer)}?f=html",
            ):
                answer = client.get(path)
                assert answer.status_code == 200 and column not in answer.text, f"{role} {path} {column}"
                assert not secret or secret not in answer.text
            for path in ("schema", "queryables", "tiles/WebMercatorQuad", "tiles/WebMercatorQuad?f=tilejson"):
                properties = client.get(f"/collections/{layer.id}/{path}").text
                assert f'"{column}"' not in properties, f"{role} {path} {column}"
            asked = (f"{column}=x", f"sortby={column}", f"properties={column}", f"filter={column} IS NULL", f"filter={column}='x'")
            never = client.get(f"{items}?never_was=x").status_code
            for query in asked:
                assert client.get(f"{items}?{query}").status_code == never == 400, f"{role} {query}"
            fields = [
                field["name"]
                for group in client.get("/catalog").json["groups"]
                for one in group["layers"]
                if one["id"] == layer.id
                for field in one["fields"]
            ]
            assert fields and column not in fields


def test_what_is_narrowed_is_seen_by_whom_it_is_for(as_role):
    path = "/collections/water_connection/items"
    assert as_role("water").get(path).json["features"][0]["properties"]["customer_name"] == "府前小区物业"
    assert "customer_name" not in as_role("planner").get(path).json["features"][0]["properties"]
    assert as_role("admin").get("/collections/door_plate/items").json["features"][0]["properties"]["token"]


def test_processes_exist_for_those_who_may_read_their_layers(as_role):
    from gis import processes

    for role in ROLES:
        client, seen = as_role(role), served.runnable(role)
        assert {p["id"] for p in client.get("/processes").json["processes"]} == set(seen)
        for name in processes.processes():
            assert client.get(f"/processes/{name}").status_code == (200 if name in seen else 404)
            if name not in seen:
                assert client.post(f"/processes/{name}/execution", json={"inputs": {}}).status_code == 404


def test_credentials_in_every_form(app, as_role):
    client = app.test_client()
    accounts.add_user("li", "water", PASSWORD)
    key = accounts.new_key("li")
    pipes = "/collections/water_pipe"
    good = (basic("li"), {"Authorization": f"Bearer {key}"}, {"X-API-Key": key}, {"Authorization": f"bearer {key}"})
    for headers in good:
        assert client.get(pipes, headers=headers).status_code == 200, headers
    wrong = (
        basic("li", "wrong"),
        basic("nobody"),
        {"Authorization": "Bearer om_wrong"},
        {"X-API-Key": "钥匙"},
        {"Authorization": "Basic ???"},
        {"Authorization": "Basic"},
        {"Authorization": "Digest x"},
        {"X-API-Key": "x" * 5000},
        basic("li\0"),
        {"Authorization": "Negotiate"},
    )
    for headers in wrong:
        headers = {name: value.encode().decode("latin-1") for name, value in headers.items()}
        for path in ("/collections/road", pipes, "/collections/road/tiles/WebMercatorQuad/15/13306/27033"):
            answer = client.get(path, headers=headers)
            assert answer.status_code == 401 and answer.headers["WWW-Authenticate"].startswith("Basic"), headers
    assert client.get(pipes).status_code == 404, "the next request of the same thread is nobody's again"


def test_a_role_is_not_kept_from_one_request_to_the_next(app, as_role):
    water, nobody = as_role("water"), as_role("anonymous")
    for _ in range(3):
        assert water.get("/collections/water_pipe/items").status_code == 200
        assert nobody.get("/collections/water_pipe/items").status_code == 404


def test_access_to_restricted_layers_is_in_the_audit(as_role):
    water = as_role("water")
    water.get("/collections/water_pipe/items?bbox=116.9,31.9,117.1,32.1")
    water.get("/collections/water_pipe/items/city:JS1-JS2")
    assert water.get(TILE.format("water_pipe")).status_code == 200
    water.get("/collections/road/items")
    with owner() as connection, connection.cursor() as cursor:
        cursor.execute("SELECT user_name, role, action, layer, n, detail FROM access.audit ORDER BY id")
        rows = cursor.fetchall()
    assert [row[:5] for row in rows] == [("test-water", "water", action, "water_pipe", 1) for action in ("items", "item", "tile")]
    assert rows[0][5]["bbox"] == [116.9, 31.9, 117.1, 32.1] and rows[1][5]["id"] == "city:JS1-JS2" and len(rows[2][5]["bbox"]) == 4


def test_a_cached_tile_is_not_given_to_another_role(as_role):
    put("water_pipe", {"pipe_id": "X"})
    assert as_role("water").get(TILE.format("water_pipe")).status_code == 200
    assert as_role("anonymous").get(TILE.format("water_pipe")).status_code == 404
    assert as_role("gas").get(TILE.format("water_pipe")).status_code == 404
