"""`onemap load-drawing`: a drawing of mains, valves and hydrants without node numbers, as a water network."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from gis.catalog import read
from gis.cli.load import DryRun, Json, Mode, pairs, position, reported, told
from gis.cli.output import emit
from gis.cli.progress import progressing
from gis.errors import InputError
from gis.ingest.load import load_frames


def load_drawing(
    pipes: Annotated[Path, typer.Argument(metavar="PIPES", help="The lines of the mains.")],
    network: Annotated[str, typer.Option(help="The network that the rows belong to.")],
    valves: Annotated[Path | None, typer.Option(help="The points of the valves.")] = None,
    sources: Annotated[Path | None, typer.Option(help="The points of works, tanks and reservoirs.")] = None,
    hydrants: Annotated[Path | None, typer.Option(help="The points of the hydrants.")] = None,
    map_: Annotated[list[str] | None, typer.Option("--map", metavar="FIELD=COLUMN[*FACTOR]", help="The column of a pipe's field.")] = None,
    isolating: Annotated[str | None, typer.Option(metavar="COLUMN=V1[,V2…]", help="Which valves isolate; without it all.")] = None,
    tolerance: Annotated[float, typer.Option(min=0.001, max=10, help="Metres within which ends and devices are moved.")] = 0.001,
    crs: Annotated[str | None, typer.Option(help="The CRS of files that declare none.")] = None,
    place: Annotated[str | None, typer.Option(metavar="LON,LAT", help="The centre of a drawing in local metres.")] = None,
    report_dir: Annotated[Path | None, typer.Option("--report", metavar="DIR", help="Write the acceptance report there.")] = None,
    mode: Mode = "replace",
    dry_run: DryRun = False,
    json: Json = False,
) -> None:
    """Load mains and valves that were only drawn: what shares a point is joined, everything else is reported. 图形入网。"""
    from etl.pipe_drawing import LAYERS, Drawing, deliveries

    column, equals, values = (isolating or "").partition("=")
    if isolating and not equals:
        raise InputError(f"{isolating!r} is not COLUMN=V1,V2", remedy="For example --isolating valve=wv,sv")
    where = position(place)
    drawing = Drawing(
        pipes, network, valves, sources, hydrants, pairs(map_), (column, tuple(values.split(","))) if isolating else None,
        crs, None if where is None else where[:2], tolerance,
    )  # fmt: skip
    catalog = read.catalog()
    frames, findings = deliveries(drawing, catalog)
    whole = {k: frames.get(k, ()) for k in LAYERS}  # what the drawing has no more is retired
    with progressing() as progress, reported(catalog, report_dir) as done:
        result = load_frames(catalog, whole, name=pipes.name, files=drawing.files, findings=findings, scope=network, mode=mode,
                             dry_run=dry_run, progress=progress)  # fmt: skip
        done.append(result)
    emit(result.as_dict(), json, table=lambda: told(result))


def register(app: typer.Typer) -> None:
    """Add `load-drawing` to the command."""
    app.command(name="load-drawing")(load_drawing)
