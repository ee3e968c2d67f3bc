"""The configuration that is served: `pygeoapi-config.yml` as the catalogue renders it, with what only the running machine knows."""

from __future__ import annotations

from pygeoapi.util import yaml_load

from gis import processes
from gis.api import pages, records
from gis.catalog import pygeoapi
from gis.catalog.read import catalog
from gis.settings import settings

LANGUAGES = ["zh", "en"]
MANAGER = {"name": "gis.api.jobs.JobManager", "connection": "", "output_dir": ""}
DEFAULT_LIMIT, LARGEST_LIMIT = 100, 10_000


def public_url() -> str:
    """Where clients find the API."""
    return (settings().public_url or f"http://{settings().host}:{settings().port}").rstrip("/")


def configuration() -> dict:
    """The configuration of pygeoapi for this process: from the layer files that are in force, so it cannot lag behind them."""
    with pygeoapi.SERVER.open(encoding="utf-8") as file:
        config = yaml_load(file)
    config["resources"] = pygeoapi.resources(catalog(), processes.processes(), str(settings().home / "raster"))
    config["resources"][records.ID] = records.resource()
    server, metadata = config["server"], config["metadata"]
    server |= {
        "url": public_url(),
        "bind": {"host": settings().host, "port": settings().port},
        "languages": LANGUAGES,
        "gzip": False,
        "admin": False,
        "manager": dict(MANAGER),
        "locale_dir": str(pages.FOLDER / "locale"),
        "templates": {"path": str(pages.TEMPLATES), "static": str(pages.STATIC)},
    }
    server["limits"] = {"default_items": DEFAULT_LIMIT, "max_items": LARGEST_LIMIT, "on_exceed": "throttle"} | server.get("limits", {})
    identification = metadata["identification"]
    identification["url"] = public_url()
    identification.setdefault("terms_of_service", metadata["license"]["name"])
    metadata["license"].setdefault("url", public_url())
    return config
