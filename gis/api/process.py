"""The analyses as OGC API processes: one class of pygeoapi for all of them; what each takes and answers is said in `gis.processes`."""

from __future__ import annotations

from typing import Any, ClassVar

from pydantic import ValidationError
from pygeoapi.process.base import BaseProcessor

from gis import processes
from gis.access import audit, rights
from gis.access.disclosure import disclosed
from gis.access.identity import Identity, caller
from gis.access.roles import is_restricted
from gis.api import errors
from gis.catalog.read import catalog
from gis.db.store import Store
from gis.errors import AccessDenied, InputError, NotFound

_QUALIFIED = {"value", "mediaType", "encoding", "schema", "format"}
OUTPUT = "result"
"""The name of a process's one output."""


class NoSuchProcess(NotFound):
    """There is no process of this id for the caller."""

    more: ClassVar[dict] = {"type": errors.PROCESSES + "no-such-process"}


def may_run(process: processes.Process, role: str) -> bool:
    """Whether the process exists for this role: he may read every layer that it reads, one of those of which one will do, and write
    those that it changes."""
    layers = catalog().layers
    readable = all(name in layers and layers[name].readable_by(role) for name in process.layers)
    if process.any_of and not any(name in layers and layers[name].readable_by(role) for name in process.any_of):
        return False
    return readable and all(name in layers and layers[name].writable_by(role) for name in process.writes)


def runnable(role: str) -> dict[str, processes.Process]:
    """The processes that exist for this role, by id."""
    return {name: process for name, process in processes.processes().items() if may_run(process, role)}


def found(process_id: str, role: str) -> processes.Process:
    """The process with this id. Raises NotFound where there is none for this role."""
    process = processes.processes().get(process_id)
    if process is None or not may_run(process, role):
        raise NoSuchProcess("no such process")
    return process


def checked(process: processes.Process, inputs: Any) -> processes.Inputs:
    """The typed inputs. Raises InputError that names each wrong one."""
    if not isinstance(inputs, dict):
        raise InputError("inputs is not an object", where="inputs")
    try:
        return process.inputs.model_validate({name: _bare(value) for name, value in inputs.items()})
    except ValidationError as error:
        faults = [
            f"{'.'.join(map(str, fault['loc'])) or 'inputs'}: {fault['msg'].removeprefix('Value error, ')}" for fault in error.errors()[:10]
        ]
        raise InputError("; ".join(faults)[:1000], where="inputs", remedy=f"See /processes/{process.id}") from None


def _bare(value: Any) -> Any:
    """An input as it is, whether it came so or as a qualified value, `{"value": …}` (OGC 18-062r2, 7.11.2.3)."""
    is_qualified = isinstance(value, dict) and "value" in value and value.keys() <= _QUALIFIED
    return value["value"] if is_qualified else value


def run(process: processes.Process, inputs: processes.Inputs, identity: Identity, progress=None, *, timeout_s: float | None = None) -> dict:
    """The answer of a process with the rights of a caller; recorded in the audit where it reads restricted layers."""
    given = inputs.model_dump(mode="json", exclude_defaults=True)
    require_whole(process, identity, given)
    with Store(identity.role, identity.user, timeout_s=timeout_s) as store:
        store.require(process.layers)
        answer = process.run(store, inputs, progress or _no_progress)
    record(process, given, answer, identity, inputs=given)
    return answer


def record(process: processes.Process, given: dict, answer: dict, identity: Identity, action: str = "process", **detail) -> None:
    """Enter in the audit what an answer told of which layers, where one of them is restricted: how many features, and where."""
    layers = _read(process, given, identity.role)
    if any(is_restricted(catalog().layers[name]) for name in layers):
        told = disclosed(answer)
        n = max(told.n, sum(answer.get(name) or 0 for name in process.counted))
        placed = {"bbox": told.bbox} if told.bbox else {}
        audit.record(identity, action, None, n=n, process=process.id, layers=layers, **placed, **detail)


def _read(process: processes.Process, given: dict, role: str) -> list[str]:
    """The layers that the process reads for these inputs (as the caller wrote them) and this role."""
    layers, defaults = catalog().layers, process.inputs.model_fields
    named = [given.get(name, defaults[name].default) for name in process.layer_inputs]
    listed = dict.fromkeys((*process.layers, *process.any_of, *named))
    return [name for name in listed if name in layers and layers[name].readable_by(role)]


def require_whole(process: processes.Process, identity: Identity, given: dict) -> None:
    """Raises AccessDenied where rights leave the caller only a part of what the process reads: valves found on half a network flood a
    street, a count of half the people builds the school in the wrong place. So nothing is answered from a part."""
    part = rights.narrowed_layers(_read(process, given, identity.role), identity.role)
    if part:
        raise AccessDenied(
            f"This analysis needs the whole of {', '.join(part)}; your rights cover a part",
            remedy="Ask somebody who sees the whole, or the administrator for the right",
        )


def _no_progress(share: float, what: str) -> None:
    """For short work: nobody is waiting to hear."""


def described_inputs(process: processes.Process) -> dict:
    """The inputs as OGC API Processes describes them: one JSON schema per input, without references."""
    document = process.inputs.model_json_schema()
    definitions, required = document.get("$defs", {}), document.get("required", [])
    return {
        name: {
            "title": field.get("title", name),
            "description": field.get("description", ""),
            "schema": _inlined(field, definitions),
            "minOccurs": int(name in required),
            "maxOccurs": 1,
        }
        for name, field in document.get("properties", {}).items()
    }


def _inlined(part: Any, definitions: dict) -> Any:
    if isinstance(part, dict):
        if "$ref" in part:
            return _inlined(definitions[part["$ref"].rsplit("/", 1)[-1]], definitions)
        return {name: _inlined(value, definitions) for name, value in part.items()}
    return [_inlined(value, definitions) for value in part] if isinstance(part, list) else part


def metadata(process: processes.Process) -> dict:
    """The description of a process as pygeoapi wants it; titles in both languages."""
    return {
        "version": "1.0.0",
        "id": process.id,
        "title": process.title.model_dump(),
        "description": process.description.model_dump(),
        "keywords": list(process.keywords),
        "jobControlOptions": ["sync-execute", "async-execute", "dismiss"],
        "outputTransmission": ["value"],
        "links": [],
        "inputs": described_inputs(process),
        "outputs": {OUTPUT: {"title": "Answer", "schema": {"type": "object", "contentMediaType": "application/json"}}},
        "example": {"inputs": process.example},
    }


class Processor(BaseProcessor):
    """A process of `gis.processes` for pygeoapi; `process` in its definition is the id."""

    def __init__(self, processor_def: dict):
        process = processes.processes().get(processor_def["process"])
        if process is None:
            raise NotFound("no such process")
        super().__init__(processor_def, metadata(process))
        self.process = process
        self.supports_outputs = True

    def execute(self, data: dict, outputs=None) -> tuple[str, dict]:
        """Runs at once, with the rights of the caller of this request."""
        identity = caller.get()
        process = found(self.process.id, identity.role)
        return "application/json", run(process, checked(process, data), identity)
