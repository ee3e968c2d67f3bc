"""What the OpenAPI document says of the paths of several layers' tiles and of WMTS."""

from __future__ import annotations

from gis.api.tiles import MIMETYPE


def paths() -> dict:
    """The OpenAPI paths of this module."""

    def at(name: str) -> dict:
        return {"$ref": f"#/components/parameters/{name}"}

    collections = {
        "name": "collections", "in": "query", "required": False, "schema": {"type": "array", "items": {"type": "string"}},
        "description": "The layers wanted; those that the caller may not see are left out.", "style": "form", "explode": False,
    }  # fmt: skip
    group = {"name": "group", "in": "path", "required": True, "description": "A group of layers.", "schema": {"type": "string"}}
    form = {"name": "f", "in": "query", "required": False, "description": "The format.", "schema": {"type": "string"}}
    place = [at("tileMatrixSetId"), at("tileMatrix"), at("tileRow"), at("tileCol")]

    def get(called: str, summary: str, media: str, *parameters: dict) -> dict:
        answers = {"200": {"description": summary, "content": {media: {"schema": {"type": "object"}}}}}
        if media == MIMETYPE:
            answers = {"200": {"description": summary, "content": {media: {"schema": {"type": "string", "format": "binary"}}}},
                       "204": {"description": "Nothing is in it."}}  # fmt: skip
        for status, kind in (("400", "InvalidParameter"), ("401", "Unauthorized"), ("404", "NotFound")):
            answers[status] = {"$ref": f"#/components/responses/{kind}"}
        return {"get": {
            "summary": summary, "tags": ["tiles"], "operationId": called, "parameters": list(parameters), "responses": answers,
        }}  # fmt: skip

    json, f_json = "application/json", form | {"schema": {"type": "string", "enum": ["json"]}}
    described, f_mvt = form | {"schema": {"type": "string", "enum": ["json", "tilejson"]}}, form | {"schema": {"enum": ["mvt", "pbf"]}}
    found = {"/groups": get("getGroups", "The groups of layers", json, f_json)}
    for root, of, also in (("/tiles", "Map", []), ("/groups/{group}/tiles", "Group", [group])):
        found[root] = get(f"get{of}Tilesets", "The tilesets", json, *also, collections, f_json)
        found[f"{root}/{{tileMatrixSetId}}"] = get(f"get{of}Tileset", "A tileset", json, *also, place[0], collections, described)
        found[f"{root}/{{tileMatrixSetId}}/{{tileMatrix}}/{{tileRow}}/{{tileCol}}"] = get(
            f"get{of}Tile", "A vector tile of several layers", MIMETYPE, *also, *place, collections, at("datetime"), at("as-of"), f_mvt
        )
    xml = {"application/xml": {"schema": {"type": "string"}}}
    found["/wmts"] = {"get": {
        "summary": "WMTS 1.0.0: GetCapabilities and GetTile of the rasters", "tags": ["tiles"], "operationId": "getWmts",
        "parameters": [
            {"name": name, "in": "query", "required": name == "service", "schema": {"type": "string"}, "style": "form", "explode": False}
            for name in ("service", "request", "version", "layer", "style", "tilematrixset", "tilematrix", "tilerow", "tilecol", "format")
        ],
        "responses": {"200": {"description": "The capabilities, or a tile.", "content": xml | {"image/png": {}}},
                      "204": {"description": "Nothing is in the tile."},
                      "400": {"description": "An exception report.", "content": xml},
                      "404": {"description": "An exception report.", "content": xml}},
    }}  # fmt: skip
    return found
