"""Pages in Chinese and English: our templates with one Jinja environment per language, kept (a new one per page costs 100 ms)."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from urllib.parse import urlencode

from babel.messages.pofile import read_po
from flask import g, has_request_context
from jinja2 import Environment, FileSystemLoader, select_autoescape
from pygeoapi import l10n

from gis.access.identity import caller
from gis.api import examples, schema
from gis.api.serialize import LAST_PAGE, json_bytes
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


@lru_cache
def phrases(language: str) -> dict[str, str]:
    """English phrase -> its translation, of `locale/<language>/LC_MESSAGES/messages.po`; empty for English."""
    path = FOLDER / "locale" / language / "LC_MESSAGES" / "messages.po"
    if not path.exists():
        return {}
    with path.open("rb") as file:
        return {str(message.id): str(message.string) for message in read_po(file) if message.id and message.string}


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
    if isinstance(value, (list, tuple)):
        return "、".join(map(str, value))
    return f"{value:g}" if isinstance(value, float) else str(value)


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
    return sorted(found.items(), key=lambda one: (one[0] in catalog().layers, one[0]))


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
    }
    environment.globals |= {"asked_for": asked_for, "examples_of": examples.examples_of, "example_filter": examples.filter_of} | MORE
    environment.filters |= {
        "shown": _shown,
        "as_value": _as_value,
        "by_tag": by_tag,
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


def render_for_pygeoapi(config: dict, tpl_config: dict, template, data: dict, locale_=None) -> str:
    """Takes the place of `pygeoapi.util.render_j2_template` (hence the parameters)."""
    if isinstance(data, dict) and isinstance(data.get("links"), list):
        data = data | {"links": [link for link in data["links"] if link != LAST_PAGE]}
    base_url = g.get("base_url") if has_request_context() else None
    return render(str(template), locale_, site=config["metadata"], base_url=base_url or config["server"]["url"].rstrip("/"), data=data)
