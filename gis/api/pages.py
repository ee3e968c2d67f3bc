"""Pages in Chinese and English: our templates with one Jinja environment per language, kept (a new one per page costs 100 ms)."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from babel.messages.pofile import read_po
from flask import g, has_request_context
from jinja2 import Environment, FileSystemLoader, select_autoescape
from pygeoapi import l10n

from gis.access.identity import caller
from gis.api.serialize import LAST_PAGE, json_bytes

FOLDER = Path(__file__).parent
TEMPLATES = FOLDER / "templates"
STATIC = FOLDER / "static"
LANGUAGES = ("zh", "en")


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
    environment.filters |= {"shown": _shown, "json": lambda value: json_bytes(value, pretty=True).decode()}
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
