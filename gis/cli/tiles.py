"""`onemap tiles …`: tiles in one file, and tiles made before they are asked for."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from gis.access.roles import ANONYMOUS, ROLES
from gis.api import tile_archive
from gis.catalog import read
from gis.cli.output import emit
from gis.cli.progress import progressing
from gis.cli.typed import operator
from gis.errors import InputError

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]
Role = Annotated[str, typer.Option(help="Whose tiles: one of " + ", ".join(ROLES))]
tiles = typer.Typer(help="Map tiles. 地图瓦片。", no_args_is_help=True)


def _known(role: str) -> str:
    if role not in ROLES:
        raise InputError(f"there is no role {role[:40]!r}", where="--role", remedy="One of " + ", ".join(ROLES))
    return role


@tiles.command()
def export(
    layers: Annotated[str, typer.Option(help="Layers and groups, separated by commas.")],
    out: Annotated[Path, typer.Option(help="FILE.pmtiles to write.")],
    max_zoom: Annotated[int, typer.Option(min=0, max=24, help="The largest zoom.")] = 16,
    min_zoom: Annotated[int, typer.Option(min=0, max=24, help="The smallest zoom.")] = 0,
    role: Role = ANONYMOUS,
    json: Json = False,
) -> None:
    """Write the tiles of layers into one PMTiles file, as a role is served them. 导出离线瓦片包。"""
    if out.suffix != ".pmtiles":
        raise InputError(f"--out cannot write {out.suffix or 'a file without an ending'}", remedy="Name it .pmtiles")
    if not out.parent.is_dir():
        raise InputError(f"the folder of {out.name} does not exist", where="--out")
    if min_zoom > max_zoom:
        raise InputError("--min-zoom is larger than --max-zoom", where="--min-zoom")
    names = [name.strip() for name in layers.split(",") if name.strip()]
    with progressing() as progress:
        made = tile_archive.export(out, names, role=_known(role), user=operator(), first=min_zoom, last=max_zoom, progress=progress)
    emit({"file": str(out)} | made, json)


@tiles.command()
def prepare(
    layers: Annotated[str, typer.Option(help="Layers and groups, separated by commas; default: all that the role sees.")] = "",
    max_zoom: Annotated[int, typer.Option(min=0, max=16, help="The largest zoom.")] = 13,
    role: Role = ANONYMOUS,
    json: Json = False,
) -> None:
    """Make coarse tiles after a load, so that nobody waits for them. 预生成小比例尺瓦片。"""
    shown = read.catalog().readable_by(_known(role)).values()
    names = [name.strip() for name in layers.split(",") if name.strip()] or [layer.id for layer in shown if not layer.is_raster]
    with progressing() as progress:
        n = tile_archive.prepare(names, role=role, user=operator(), last=max_zoom, progress=progress)
    emit({"tiles": n, "role": role}, json)


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.add_typer(tiles, name="tiles")
