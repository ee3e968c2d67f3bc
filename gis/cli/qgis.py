"""`onemap qgis`: a project for QGIS, as a role sees the map."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from gis.access import accounts, rights
from gis.access.roles import ANONYMOUS, ROLES, visible_catalog
from gis.api import raster
from gis.catalog import narrowing, qgis_project, read
from gis.catalog.model import Catalog
from gis.cli.output import emit
from gis.errors import InputError, NotFound
from gis.settings import served_at

SUFFIXES = (".qgz", ".qgs")


def qgis(
    out: Annotated[Path, typer.Option(help="FILE.qgz, or FILE.qgs unpacked.")],
    url: Annotated[str | None, typer.Option(help="Where QGIS finds the platform; default: where it is served.")] = None,
    role: Annotated[str | None, typer.Option(help="Whose layers: one of " + ", ".join(ROLES))] = None,
    user: Annotated[str | None, typer.Option(help="Whose layers: those of this user's role.")] = None,
    crs: Annotated[str, typer.Option(help="In what layers come: EPSG:4490, or the working CRS for those who edit them.")] = "EPSG:4490",
    postgis: Annotated[bool, typer.Option("--postgis", help="Read vector layers straight from the database.")] = False,
    service: Annotated[str, typer.Option(help="With --postgis: the section of the reader's pg_service.conf.")] = "onemap",
    authcfg: Annotated[str, typer.Option(help="The id of QGIS's credentials for the platform.")] = qgis_project.AUTHCFG,
    database_authcfg: Annotated[str, typer.Option(help="With --postgis: the id of those for the database.")] = qgis_project.AUTHCFG_DB,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Write a QGIS project with all layers that a role may see, named, grouped and styled. QGIS 工程文件。"""
    if out.suffix not in SUFFIXES:
        raise InputError(f"--out cannot write {out.suffix or 'a file without an ending'}", remedy="Name it .qgz or .qgs")
    if not out.parent.is_dir():
        raise InputError(f"the folder of {out.name} does not exist", where="--out")
    whose = _role(role, user)
    if postgis and narrowing.base(whose) != whose:
        remedy = "Leave it out: the platform judges his rows, a login of the database knows his role only"
        raise InputError(f"rights narrow what {user or role} sees", where="--postgis", remedy=remedy)
    seen = _loaded(visible_catalog(read.catalog(), whose))
    database = qgis_project.Database(service, database_authcfg) if postgis else None
    ways = qgis_project.Ways(url or served_at(), None if whose == ANONYMOUS else authcfg, database, crs)
    if out.suffix == ".qgz":
        out.write_bytes(qgis_project.archive(seen, ways))
    else:
        out.write_text(qgis_project.project(seen, ways), encoding="utf-8")
    used = ([] if ways.authcfg is None else [ways.authcfg]) + ([database.authcfg] if database else [])
    emit({"file": out.name, "role": narrowing.base(whose), "url": ways.url, "layers": len(seen.layers), "authcfg": used}, json)


def _role(role: str | None, user: str | None) -> str:
    """Whose eyes: the role that is named, or that of the user; without either, everybody's."""
    if role and user:
        raise InputError("--role and --user say the same", remedy="Give one of them")
    if user:
        found = [one["role"] for one in accounts.users() if one["name"] == user]
        if not found:
            raise NotFound(f"no user {user[:60]!r}", remedy="See `onemap user list`")
        return rights.role_of(user, found[0])
    if role and role not in ROLES:
        raise InputError(f"no role {role[:40]!r}", where="--role", remedy="One of " + ", ".join(ROLES))
    return rights.role_of("", role or ANONYMOUS)


def _loaded(seen: Catalog) -> Catalog:
    """Without rasters that were never loaded: they do not exist on the platform either."""
    layers = {name: layer for name, layer in seen.layers.items() if not layer.is_raster or raster.is_loaded(name)}
    return seen.model_copy(update={"layers": layers})


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(qgis)
