"""A record as it goes out: a GeoJSON feature with the core properties (OGC 20-004r1, table 8) and what the platform knows beyond them."""

from __future__ import annotations

import datetime as dt

from gis.access.identity import Identity
from gis.api import records
from gis.api.record_facts import completeness, findings
from gis.api.record_search import Found
from gis.catalog import observed
from gis.catalog.model import Catalog, Text

LANGUAGES = {
    "zh": {"code": "zh", "name": "中文", "alternate": "Chinese", "dir": "ltr"},
    "en": {"code": "en", "name": "English", "alternate": "英文", "dir": "ltr"},
}


def document(found: Found, identity: Identity, seen: Catalog, metadata: dict, base: str, language: str, *, whole: bool = False) -> dict:
    """The record in one language. `metadata`: the translated metadata of the platform; `whole` adds what takes a look at the rows:
    completeness per column, findings of the last delivery."""
    about = _of_delivery(found, seen, language) if found.defined is None else _of_defined(found, language)
    if whole:
        about["properties"] |= _whole(found, identity, seen)
    properties = {
        **about["properties"],
        "language": LANGUAGES[language],
        "languages": list(LANGUAGES.values()),
        "resourceLanguages": [LANGUAGES["zh"]],
        "created": _moment(found.created),
        "updated": _moment(found.updated),
        "contacts": _contacts(metadata),
        "license": metadata["license"]["name"],
    }
    self_ = f"{base}/collections/{records.ID}/items/{found.id}"
    back = {
        "rel": "collection",
        "type": "application/json",
        "title": _in(records.TITLE, language),
        "href": f"{base}/collections/{records.ID}",
    }
    return {
        "id": found.id,
        "type": "Feature",
        "conformsTo": [records.RECORD],
        "geometry": _polygon(found.box),
        "time": _time(found),
        "properties": {name: value for name, value in properties.items() if value is not None},
        "links": [
            {"rel": "self", "type": "application/geo+json", "title": found.id, "href": self_},
            {"rel": "alternate", "type": "text/html", "title": found.id, "href": f"{self_}?f=html"},
            back,
            records.profile("ogc-record"),
            *about["links"](base),
        ],
    }


def _in(text: Text, language: str) -> str:
    return text.zh if language == "zh" else text.en


def _of_defined(found: Found, language: str) -> dict:
    one = found.defined
    properties = {
        "type": one.type,
        "title": _in(one.title, language),
        "description": _in(one.description, language),
        "keywords": [_in(word, language) for word in one.keywords],
        "formats": records.formats(one),
        "externalIds": _external(records.external_of(one)),
    }
    if one.layer is not None:
        label = one.layer.access.label
        properties |= {"layer": one.layer.id, "label": label, "rights": label}
    if one.type == "dataset" and found.facts is not None:
        properties |= {"version": found.facts.version, "batch": found.facts.batch, "delivered": _moment(found.facts.delivered)}
    if one.type == "dataset" and found.counted is not None:
        properties["count"] = found.counted.n
    return {"properties": properties, "links": lambda base: records.links(one, base, language)}


_ROWS = ("rows_read", "rows_loaded", "rows_rejected", "inserted", "updated", "retired")
_KINDS = {"load": Text(zh="入库", en="Delivery"), "rollback": Text(zh="撤销", en="Rollback")}


def _of_delivery(found: Found, seen: Catalog, language: str) -> dict:
    one = found.delivery
    known = {name: layer.title for name, layer in seen.layers.items()} | {observed.ID: observed.DELIVERED.title}
    titles = [_in(known[name], language) if name in known else name for name in found.layers]
    kind = _in(_KINDS[one["kind"]], language)
    colon = "：" if language == "zh" else ": "
    listed = ("、" if language == "zh" else ", ").join(titles)
    source = f" ({one['source']})" if one["source"] else ""
    properties = {
        "type": "batch",
        "externalIds": _external(str(one["id"])),
        "title": f"{kind} {one['id']}{colon}{listed}"[:300],
        "description": f"{kind} {one['id']}{colon}{listed}{source}"[:1000],
        "keywords": [_in(records.TYPES["batch"], language), *titles],
        "layers": list(found.layers),
        "rows": {name: one[name] for name in _ROWS},
        "mode": one["mode"],
        "source": one["source"],
        "operator": one["operator"],
        "rollback_of": one["rollback_of"],
        "rolled_back_by": one["rolled_back_by"],
    }

    def links(base: str) -> list[dict]:
        return [
            {"rel": "related", "type": "application/geo+json", "title": title, "href": f"{base}/collections/{records.ID}/items/{name}"}
            for name, title in zip(found.layers, titles, strict=True)
            if name in seen.layers
        ]

    return {"properties": properties, "links": links}


def _external(value: str | None) -> list[dict] | None:
    return value and [{"scheme": records.SCHEME, "value": value}]


def _whole(found: Found, identity: Identity, seen: Catalog) -> dict:
    if found.delivery is not None:
        return {"findings": findings(identity, found.delivery["id"], found.layers)}
    one, added = found.defined, {}
    if one.type != "dataset" or one.layer is None:
        return added
    if not one.layer.is_raster:
        added["completeness"] = completeness(identity, one.layer)
    if found.facts is not None and found.facts.batch is not None:
        added["findings"] = findings(identity, found.facts.batch, [one.layer.id])
    return added


def _moment(value: dt.datetime | None) -> str | None:
    return value.astimezone(dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ") if value else None


def _polygon(box: tuple[float, float, float, float] | None) -> dict | None:
    if box is None:
        return None
    west, south, east, north = box
    return {"type": "Polygon", "coordinates": [[[west, south], [east, south], [east, north], [west, north], [west, south]]]}


def _time(found: Found) -> dict | None:
    if found.delivery is not None:
        return {"timestamp": _moment(found.created)}
    if found.counted is None or not found.counted.n:
        return None
    return {"interval": [found.begin or "..", found.end or ".."], "resolution": "P1D"}


def _contacts(metadata: dict) -> list[dict]:
    provider, contact = metadata.get("provider", {}), metadata.get("contact", {})
    return [{"name": str(contact.get("name", "")), "organization": str(provider.get("name", "")), "roles": ["publisher"]}]
