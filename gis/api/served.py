"""pygeoapi's API object as the caller of each request may see it: what is hidden from him is in no configuration that he meets."""

from __future__ import annotations

import logging
import threading
from functools import lru_cache
from http import HTTPStatus

from cachetools import LRUCache
from flask import has_request_context
from pygeoapi.process.manager.base import get_manager

from gis.access.identity import Identity, caller
from gis.api import adapt, errors, openapi, raster, records
from gis.api import process as served_processes
from gis.api.visit import current
from gis.catalog.model import Catalog
from gis.catalog.read import catalog
from gis.errors import NotFound
from gis.settings import settings

log = logging.getLogger("onemap.api")

_KEPT = 64
"""Configurations kept: one per role and name under which callers find the platform."""


class ServedAPI(adapt.core.API):
    """One object for all requests; `config` and `openapi` answer for the caller of the request that asks."""

    def __init__(self, config: dict):
        self._lock = threading.RLock()
        self._whole = config
        self.limits: tuple[tuple[str, object], ...] = tuple(config["server"].get("limits", {}).items())
        """How many features a page holds, unless its collection says otherwise."""
        self._configs: LRUCache[tuple, dict] = LRUCache(_KEPT)
        self._openapi: dict[tuple[str, ...], dict] = {}
        self._base_url = ""
        super().__init__(config, {}, {})
        self.manager = get_manager(config)  # of all processes, not only of those that exist for nobody
        # Templates get this one: the server and its metadata, never the resources.
        self.tpl_config = self.tpl_config | {"resources": {}}

    @property
    def base_url(self) -> str:
        """Where the caller found the platform: the public URL where one is set, else what he wrote himself, so that a machine is
        found under each of its names."""
        visit = current.get()
        if visit is None or settings().public_url:
            return self._base_url
        return visit.found_at or self._base_url

    @base_url.setter
    def base_url(self, value: str) -> None:
        self._base_url = value.rstrip("/")

    @property
    def config(self) -> dict:
        """The configuration with the resources that exist for the caller's role."""
        key = (*_view(), self.base_url)
        with self._lock:
            found = self._configs.get(key)
        if found is None:
            metadata = self._whole["metadata"]
            found = self._whole | {
                "resources": {name: resource for name, resource in self._whole["resources"].items() if exists(name, resource, key[0])},
                # the `about` link and the linked data name the platform as the caller found it
                "metadata": metadata | {"identification": metadata["identification"] | {"url": self.base_url}},
            }
            with self._lock:
                self._configs[key] = found
        return found

    @config.setter
    def config(self, value: dict) -> None:
        self._whole = value

    @property
    def openapi(self) -> dict:
        """The OpenAPI document for the caller's role, made when it is first asked for."""
        role = _view()
        with self._lock:
            if role not in self._openapi:
                self._openapi[role] = openapi.document(self.config)
            return self._openapi[role] | {"servers": [{"url": self.base_url}]}

    @openapi.setter
    def openapi(self, value: dict) -> None:
        """pygeoapi sets an empty one; the documents are made here."""

    def get_exception(self, status, headers, format_, code, description):
        """A mistake found by pygeoapi, in the platform's shape."""
        status = int(status)
        if status == HTTPStatus.NO_CONTENT:
            return headers, status, ""
        if not has_request_context():  # the front hands it to Flask, which comes here again by the table of errors
            raise errors.Refused(status, str(description), code)
        response = errors.found_by_pygeoapi(status, str(description), code)
        return {name: value for name, value in response.headers.items() if name != "Content-Length"}, status, response.get_data()


def _view() -> tuple[str, ...]:
    """What the view of the configuration depends on: the role, and the rasters that were loaded by now."""
    visit, role = current.get(), caller.get().role
    if visit is None:
        return (role, *_rasters())
    if visit.rasters is None:  # asked several times per request, and each time is a look at the disk
        visit.rasters = _rasters()
    return (role, *visit.rasters)


def _rasters() -> tuple[str, ...]:
    """The rasters that were loaded by now: looked up when their folder changes, which costs a request one look at the disk."""
    return _rasters_of(catalog(), raster.folder_version())


@lru_cache(maxsize=8)
def _rasters_of(of: Catalog, _folder: tuple) -> tuple[str, ...]:
    return tuple(layer.id for layer in of.layers.values() if layer.is_raster and raster.is_loaded(layer.id))


def exists(name: str, resource: dict, role: str) -> bool:
    """Whether a resource of the configuration exists for a role."""
    if resource["type"] == "process":
        try:
            served_processes.found(name, role)
        except NotFound:
            return False
        return True
    if name == records.ID:  # exists for all; which records are in it is another question
        return True
    layer = catalog().layers.get(name)
    return layer is not None and layer.readable_by(role) and (not layer.is_raster or raster.is_loaded(name))


def as_role(role: str, question):
    """The answer to a question (a function without arguments) as a role sees it: for documents made outside a request."""
    token = caller.set(Identity("", role))
    try:
        return question()
    finally:
        caller.reset(token)
