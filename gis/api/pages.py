"""Pages in Chinese and English: our templates with one Jinja environment per language, kept (a new one per page costs 100 ms)."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from urllib.parse import urlencode

from flask import g, has_request_context
from jinja2 import Environment, FileSystemLoader, select_autoescape
from pygeoapi import l10n

from gis import processes
from gis.access.identity import caller
from gis.api import examples, schema, wording
from gis.api.serialize import LAST_PAGE, json_bytes
from gis.api.temporal import CITY_TIME
from gis.api.visit import current as here
from gis.catalog.model import GROUPS
from gis.catalog.read import catalog
from gis.errors import InputError
from gis.settings import ROOT

FOLDER = Path(__file__).parent
TEMPLATES = FOLDER / "templates"
STATIC = FOLDER / "static"
LANGUAGES = ("zh", "en")
MORE: dict[str, Callable] = {}
"""What templates may call besides, by name: of modules that cannot be imported from here."""
MAP = ROOT / "gis" / "viewer" / "dist" / "page.html"
"""The small map that pages hold in a frame: they themselves run no script."""


def phrases(language: str) -> dict[str, str]:
    """English phrase -> its translation, of `locale/<language>/LC_MESSAGES/messages.po`; empty for English."""
    return wording.catalogue(language, "messages")


def language_of(locale: object) -> str:
    """zh or en for whatever names a language."""
    return "zh" if str(locale or "").lower().startswith("zh") else "en"


def phrase(text: str, language: object) -> str:
    """A phrase of the platform or of pygeoapi in the caller's language. Takes the place of pygeoapi's gettext files."""
    return phrases(language_of(language)).get(text, text)


def _shown(value: object) -> str:
    """A property's value on a page."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "✓" if value else "✗"
    if isinstance(value, dict):
        return "、".join(f"{name} {_shown(one)}" for name, one in value.items())
    if isinstance(value, (list, tuple)):
        return "、".join(map(_shown, value))
    return f"{value:g}" if isinstance(value, float) else str(value)


def _moment(value: object) -> str:
    """A moment on the city's clock: 2026-01-31 08:05; what is none stays as it is."""
    try:
        moment = value if isinstance(value, dt.datetime) else dt.datetime.fromisoformat(str(value))
    except ValueError:
        return str(value)
    return f"{moment.astimezone(CITY_TIME):%Y-%m-%d %H:%M}" if moment.tzinfo else str(value)


def columns_of(layer_id: str, language: str) -> dict[str, dict]:
    """name -> {title, unit, codes: {code: title}} of the columns of a layer that the caller sees; empty for what is no layer for him."""
    role = caller.get().role
    layer = catalog().layers.get(layer_id)
    if layer is None or not layer.readable_by(role):
        return {}
    return {
        name: {
            "title": schema.text(column.title, language),
            "unit": column.unit or "",
            "codes": dict(schema.codes(column.codes, language)) if column.codes else {},
        }
        for name, column in layer.columns_for(role).items()
    }


def is_layer(name: str) -> bool:
    """Whether a collection is a layer, and so on the map; the catalogue is one that is none."""
    return name in catalog().layers


def by_group(collections: list[dict], language: str) -> list[tuple[str, list[dict]]]:
    """Collections under the title of their group, groups in their order; what is no layer comes last, under no title."""
    groups: dict[str, list[dict]] = {group: [] for group in GROUPS} | {"": []}
    for one in collections:
        layer = catalog().layers.get(one.get("id", ""))
        groups[layer.group if layer else ""].append(one)
    return [(schema.text(GROUPS[group], language) if group else "", found) for group, found in groups.items() if found]


def title_of(name: str, language: str, otherwise: str = "") -> str:
    """What a layer that the caller sees is called in this language; `otherwise`, or the name itself, for what is no layer for him."""
    layer = catalog().layers.get(name)
    if layer is None or not layer.readable_by(caller.get().role):
        return otherwise or name
    return schema.text(layer.title, language)


def tag_title(tag: str, language: str) -> str:
    """What a tag of the OpenAPI document stands for: a layer, a process, or a part of the server."""
    process = processes.processes().get(tag)
    return schema.text(process.title, language) if process else title_of(tag, language, phrase(tag.capitalize(), language))


def summary_of(summary: str, tag: str, language: str) -> str:
    """The summary of an operation of the OpenAPI document, which names layers and processes by their Chinese titles."""
    if language == "zh":
        return wording.side(summary, language)
    named = catalog().layers.get(tag) or processes.processes().get(tag)
    return summary.replace(named.title.zh, named.title.en) if named else summary


def is_raster(name: str) -> bool:
    """Whether a collection is a raster: it has coverages and images instead of features."""
    layer = catalog().layers.get(name)
    return layer is not None and layer.is_raster


def map_is_built() -> bool:
    """Whether the small map of the pages is there."""
    return MAP.is_file()


def elsewhere(language: str) -> str:
    """The query of this page in another language."""
    visit = here.get()
    try:
        given = dict(visit.args) if visit is not None else {}
    except InputError:
        given = {}
    return urlencode(given | {"f": "html", "lang": language})


def asked_for() -> dict[str, str]:
    """What this page of features was asked by: its query without form and language, the page's size, the filter."""
    visit = here.get()
    given = dict(visit.args) if visit is not None else {}
    rest = {name: value for name, value in given.items() if name not in ("f", "lang")}
    return {"query": urlencode(rest | {"f": "json"}), "limit": given.get("limit", "20"), "filter": given.get("filter", "")}


def by_tag(document: dict) -> list[tuple[str, list[tuple[str, str, dict]]]]:
    """The operations of an OpenAPI document by their first tag: (tag, [(path, method, operation)])."""
    found: dict[str, list[tuple[str, str, dict]]] = {}
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            if method in ("get", "post", "put", "patch", "delete"):
                found.setdefault((operation.get("tags") or ["server"])[0], []).append((path, method, operation))
    known = processes.processes()
    return sorted(found.items(), key=lambda one: (one[0] != "server", one[0] in catalog().layers, one[0] in known, one[0]))


def _as_value(value: object, column: dict | None, unit: bool = True) -> str:
    """A property's value on a page: a code by its title, a number with its unit."""
    text = _shown(value)
    if not column or not text:
        return text
    if title := column["codes"].get(text):
        return f"{title} ({text})" if title != text else text
    return f"{text} {column['unit']}".rstrip() if unit else text


@lru_cache(maxsize=8)
def _environment(language: str) -> Environment:
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        extensions=["jinja2.ext.i18n"],
        autoescape=select_autoescape(default=True),
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    # The new style formats every phrase with %, also those that quote the caller.
    environment.install_gettext_callables(  # type: ignore[attr-defined]
        lambda text: phrase(text, language), lambda one, many, n: phrase(one if n == 1 else many, language), newstyle=False
    )
    environment.globals |= {
        "columns_of": columns_of,
        "by_group": by_group,
        "map_is_built": map_is_built,
        "elsewhere": elsewhere,
        "is_layer": is_layer,
        "is_raster": is_raster,
        "title_of": lambda name, otherwise="": title_of(name, language, otherwise),
        "tag_title": lambda tag: tag_title(tag, language),
        "summary_of": lambda summary, tag: summary_of(summary, tag, language),
    }
    environment.globals |= {"asked_for": asked_for, "examples_of": examples.examples_of, "example_filter": examples.filter_of} | MORE
    environment.filters |= {
        "shown": _shown,
        "moment": _moment,
        "field": lambda name: phrases(language).get(f"field {name}", name),
        "as_value": _as_value,
        "by_tag": by_tag,
        "said": lambda text: wording.sentence(str(text), language),
        "side": lambda text: wording.side(str(text), language),
        "shape": lambda schema: {name: part for name, part in schema.items() if name not in ("title", "description")},
        "json": lambda value: json_bytes(value, pretty=True).decode(),
    }
    return environment


def render(template: str, language: object, *, site: dict, base_url: str, **values) -> str:
    """A page. `site`: the metadata of the configuration; `base_url`: where the API lives, as clients see it."""
    language = language_of(language)
    return (
        _environment(language)
        .get_template(template)
        .render(
            language=language, site=l10n.translate_struct(site, l10n.str2locale(language)), base=base_url, caller=caller.get(), **values
        )
    )


_NOT_OFFERED = re.compile(r"/(processes|tiles)\?f=jsonld")
"""Links that pygeoapi writes to what is not there."""
_NEEDS_MORE = re.compile(r"/collections/[^/]+/(position|radius|area|cube|coverage\?f=json)$")
"""Where a link alone asks for nothing: the address is for programs, which know what else to say."""


def _link(link: dict) -> dict:
    return link | {"needs_more": True} if _NEEDS_MORE.search(link["href"]) else link


def render_for_pygeoapi(config: dict, tpl_config: dict, template, data: dict, locale_=None) -> str:
    """Takes the place of `pygeoapi.util.render_j2_template` (hence the parameters)."""
    if isinstance(data, dict) and isinstance(data.get("links"), list):
        data = data | {"links": [_link(link) for link in data["links"] if link != LAST_PAGE and not _NOT_OFFERED.search(link["href"])]}
    base_url = g.get("base_url") if has_request_context() else None
    return render(str(template), locale_, site=config["metadata"], base_url=base_url or config["server"]["url"].rstrip("/"), data=data)
