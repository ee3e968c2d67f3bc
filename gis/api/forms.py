"""A process as a form on its page: filled in without a script, run by the server, only where running it changes nothing."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import orjson

from gis.access.identity import caller
from gis.api import process as served
from gis.api.serialize import json_bytes
from gis.api.visit import here
from gis.errors import OneMapError
from gis.processes import Process

LONGEST_ANSWER = 50_000
"""Characters of an answer that a page shows."""
_PREFIX = "in."


@dataclass(frozen=True)
class Field:
    """One input: what stands beside it, what may be chosen, what stands in it. is_json: lists and objects are written as JSON."""

    name: str
    title: str
    description: str
    required: bool
    choices: list
    is_json: bool
    value: str


@dataclass(frozen=True)
class Form:
    """The form of a process as this request fills it; the answer as JSON, or what was wrong."""

    fields: list[Field] = field(default_factory=list)
    answer: str | None = None
    fault: OneMapError | None = None


def form_of(data: dict) -> Form:
    """The form of the process that a page describes; a request with `run=1` fills it in and runs it with the rights of the caller."""
    identity = caller.get()
    process = served.found(data["id"], identity.role)
    if process.writes:
        return Form()
    given = here().args
    running = given.get("run") == "1"
    said = {name[len(_PREFIX) :]: text for name, text in given.items() if name.startswith(_PREFIX)}
    values = said if running else {name: _written(value) for name, value in process.example.items()}
    fields = [_field(name, part, values.get(name, "")) for name, part in data["inputs"].items()]
    if not running:
        return Form(fields)
    try:
        inputs = {one.name: _read(one, said[one.name]) for one in fields if said.get(one.name, "").strip()}
        return Form(fields, _answer(process, inputs, identity))
    except OneMapError as error:
        return Form(fields, fault=error)


def _answer(process: Process, inputs: dict, identity) -> str:
    text = json_bytes(served.run(process, served.checked(process, inputs), identity), pretty=True).decode()
    return text if len(text) <= LONGEST_ANSWER else text[:LONGEST_ANSWER] + "\n…"


def _types(schema: dict) -> set[str]:
    return {one.get("type", "") for one in (schema, *schema.get("anyOf", ()))} - {"", "null"}


def _choices(schema: dict) -> list:
    for one in (schema, *schema.get("anyOf", ())):
        if "enum" in one:
            return one["enum"]
    return ["true", "false"] if _types(schema) == {"boolean"} else []


def _field(name: str, part: dict, value: str) -> Field:
    schema = part["schema"]
    is_json = bool(_types(schema) & {"array", "object"}) or not (_types(schema) or _choices(schema))
    return Field(
        name, str(part["title"]), str(part.get("description") or ""), bool(part.get("minOccurs")), _choices(schema), is_json, value
    )


def _written(value: Any) -> str:
    return value if isinstance(value, str) else orjson.dumps(value).decode()


def _read(one: Field, text: str) -> Any:
    """What was written as the process takes it: JSON where it may be a list or an object; numbers are read by the process itself."""
    if not one.is_json:
        return text
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return text  # a bare word where a text will do as well; if it will not, the process says so
