"""`onemap load`, `rollback`, `batches`: the road in, from the command line."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from gis import crs as reference
from gis.catalog import read
from gis.catalog.model import Catalog
from gis.cli.output import emit, rows
from gis.cli.progress import progressing
from gis.errors import InputError
from gis.ingest import evidence, report, sandbox
from gis.ingest.load import LoadResult, Rejected, load_files, load_frames
from gis.ingest.rollback import rollback as take_back

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]
Mode = Annotated[str, typer.Option(help="replace: what is missing is retired; append: only new rows; update: new and changed rows.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Do everything, then undo it.")]


def load(
    layer: Annotated[
        str, typer.Argument(help="A layer's id, or survey, epanet, swmm, osm, raster, doorplates, facilities, grid, sensors, observation.")
    ],
    source: Annotated[list[str], typer.Argument(metavar="SOURCE...", help="Files (for raster: the layer's id first).")],
    mode: Mode = "replace",
    crs: Annotated[str | None, typer.Option(help="The source's CRS: EPSG:4548, GCJ-02, BD-09 …")] = None,
    encoding: Annotated[str | None, typer.Option(help="The encoding of the source's texts: GBK, UTF-8 …")] = None,
    source_layer: Annotated[str | None, typer.Option(help="The layer, sheet, table, CAD layer or file where there are several.")] = None,
    network: Annotated[str | None, typer.Option("--network", "--scope", help="The network (scope) that the rows belong to.")] = None,
    set_: Annotated[
        list[str] | None, typer.Option("--set", metavar="FIELD=VALUE", help="The value of a field in all rows ({row}: the row's number).")
    ] = None,
    map_: Annotated[list[str] | None, typer.Option("--map", metavar="FIELD=COLUMN", help="The source column of a field.")] = None,
    place: Annotated[
        str | None, typer.Option(metavar="LON,LAT[,X,Y]", help="Where the point X,Y (default 0,0) of a drawing in local units lies.")
    ] = None,
    unit: Annotated[float, typer.Option(help="Metres per unit of a drawing placed with --place.")] = 1.0,
    kind: Annotated[str | None, typer.Option(help="facilities, sensors: the kind of all rows; swmm: storm, sewage or combined.")] = None,
    isolation: Annotated[str | None, typer.Option(metavar="TCV[,GPV…]", help="EPANET: valve types that isolate.")] = None,
    valve_layer: Annotated[Path | None, typer.Option(metavar="FILE.csv", help="EPANET: a CSV with columns link,node.")] = None,
    tolerance: Annotated[
        float | None, typer.Option(min=0.001, max=10, help="Metres within which a survey's ends without a point, or sensors, are joined.")
    ] = None,
    report_dir: Annotated[
        Path | None, typer.Option("--report", metavar="DIR", help="Write the acceptance report there (HTML, Excel, GeoPackage).")
    ] = None,
    operation: Annotated[
        str | None,
        typer.Option(metavar="COLUMN", help="Mode update: the column that says insert, modify or retire (I, U, D)."),
    ] = None,
    cut: Annotated[
        str | None, typer.Option(metavar="DATE|BATCH", help="When the delivery was cut: what others changed later is not overwritten.")
    ] = None,
    version_column: Annotated[
        str | None, typer.Option(metavar="COLUMN", help="The column with the batch that each row was exported with, instead of --cut.")
    ] = None,
    workers: Annotated[int | None, typer.Option(min=1, max=64, help="Threads and connections of a large load; as many as cores.")] = None,
    dask: Annotated[str | None, typer.Option(metavar="ADDRESS", help="A Dask scheduler whose workers read and check the rows.")] = None,
    dry_run: DryRun = False,
    json: Json = False,
) -> None:
    """Load a delivery into a layer: read, check, publish, all or nothing. 入库。"""
    sandbox.warm()
    catalog = read.catalog()
    where = position(place)
    with progressing() as progress, reported(catalog, report_dir) as done:
        if layer == "epanet":
            result = _epanet(
                catalog, source, network, None if where is None else where[:2], crs, isolation, valve_layer, mode, dry_run, progress
            )
        elif layer == "survey":
            from etl import pipe_survey

            result = pipe_survey.load(
                catalog, source, network=network or "city", crs=crs, encoding=encoding, tolerance=tolerance, mode=mode, dry_run=dry_run,
                progress=progress,
            )  # fmt: skip
        elif layer == "swmm":
            from etl import swmm

            result = swmm.load(
                catalog, _one(source), kind=kind, place=None if where is None else where[:2], crs=crs, encoding=encoding, mode=mode,
                dry_run=dry_run, progress=progress,
            )  # fmt: skip
        elif layer == "osm":
            from etl import basemap

            result = basemap.load(catalog, _one(source), mode=mode, dry_run=dry_run, progress=progress)
        elif layer == "raster" or (layer in catalog.layers and catalog.layers[layer].is_raster):
            from etl import raster

            target, path = (layer, _one(source)) if layer != "raster" else _pair(source)
            result = raster.load(catalog, target, path, crs=crs, dry_run=dry_run, progress=progress)
        elif layer == "doorplates":
            from etl import address

            result = address.load(catalog, _one(source), crs=crs, encoding=encoding, mode=mode, dry_run=dry_run, progress=progress)
        elif layer == "grid":
            from etl import grid

            result = grid.load(
                catalog, _one(source), crs=crs, encoding=encoding, source_layer=source_layer, mode=mode, dry_run=dry_run, progress=progress
            )
        elif layer == "sensors":
            from etl import sensors

            result = sensors.load(
                catalog, _one(source), network=network, kind=kind, tolerance=tolerance, crs=crs, encoding=encoding,
                source_layer=source_layer, mode=mode, dry_run=dry_run, progress=progress,
            )  # fmt: skip
        elif layer == "observation":
            from etl import observation

            result = observation.load(source, encoding=encoding, source_layer=source_layer, dry_run=dry_run, progress=progress)
        elif layer == "facilities":
            from etl import facility

            result = facility.load(
                catalog, _one(source), kind=kind, crs=crs or "GCJ-02", encoding=encoding, dry_run=dry_run, progress=progress
            )
        else:
            if where is not None:
                crs = reference.local(*where[:2], x0=where[2], y0=where[3], unit_m=unit)
            result = load_files(
                catalog,
                layer,
                source,
                mode=mode,
                crs=crs,
                encoding=encoding,
                source_layer=source_layer,
                scope=network,
                constants=pairs(set_),
                names=pairs(map_),
                dry_run=dry_run,
                progress=progress,
                workers=workers,
                cluster=dask,
                operation=operation,
                cut=cut,
                version=version_column,
            )
        done.append(result)
    emit(result.as_dict(), json, table=lambda: told(result))


def _epanet(catalog, source, network, where, crs, isolation, valve_layer, mode, dry_run, progress) -> LoadResult:
    """An EPANET network as one delivery of the water layers."""
    from etl import epanet

    if network is None:
        raise InputError("which network is it?", remedy="Name it with --network NAME")
    path = _one(source)
    made = epanet.deliveries(
        path, network, place=where, crs=crs, isolation=tuple(i for i in (isolation or "").split(",") if i), valve_layer=valve_layer
    )
    whole = {k: made.get(k, ()) for k in ("water_node", "water_pipe", "water_valve", "water_source")}  # what it has no more is retired
    files = [path] if valve_layer is None else [path, valve_layer]
    return load_frames(catalog, whole, name=path.name, files=files, scope=network, mode=mode, dry_run=dry_run, progress=progress)


def rollback(batch: Annotated[int, typer.Argument(help="The batch's number.")], json: Json = False) -> None:
    """Take a published batch back: what was before is believed again. 撤销批次。"""
    from etl import observation

    with progressing() as progress:
        if observation.is_delivery(batch):
            result = observation.rollback(batch, progress=progress)
        else:
            result = take_back(read.catalog(), batch, progress=progress)
    emit(result.as_dict(), json, table=lambda: told(result))


def batches(limit: Annotated[int, typer.Option(help="How many, the newest first.")] = 20, json: Json = False) -> None:
    """The deliveries: whence, when, by whom, with what result. 批次。"""
    found = [{"batch": one.pop("id"), **one} for one in report.batches(limit)]
    shown = ("batch", "kind", "status", "mode", "source", "operator", "finished_at", "rows_read", "rows_loaded", "rows_rejected", "message")
    titles = ("batch", "kind", "status", "mode", "source", "operator", "finished", "read", "loaded", "rejected", "message")
    emit(found, json, table=lambda: rows(titles, ([_shortened(b[k]) for k in shown] for b in found)))


def _shortened(value: object) -> object:
    """A long text (the names of all files of a delivery) as its beginning; `--json` has the whole."""
    return value[:39] + "…" if isinstance(value, str) and len(value) > 40 else value


def _one(source: list[str]) -> Path:
    if len(source) != 1:
        raise InputError(f"{len(source)} files were named where one is expected", remedy="Load them one after the other")
    return Path(source[0])


def _pair(source: list[str]) -> tuple[str, Path]:
    if len(source) != 2:
        raise InputError("a raster needs its layer and one file", remedy="onemap load raster dem FILE.tif")
    return source[0], Path(source[1])


def pairs(given: list[str] | None) -> dict[str, str]:
    found = {}
    for text in given or ():
        name, equals, value = text.partition("=")
        if not equals:
            raise InputError(f"{text!r} is not FIELD=VALUE", remedy="For example --set use=residential")
        found[name.strip()] = value
    return found


def position(text: str | None) -> tuple[float, float, float, float] | None:
    """`LON,LAT` in degrees and the local point that lies there."""
    if text is None:
        return None
    try:
        lon, lat, *local = (float(part) for part in text.split(","))
        x, y = local or (0.0, 0.0)
    except ValueError:
        raise InputError(f"{text!r} is no position", remedy="Write --place LON,LAT or LON,LAT,X,Y, for example 117.0,32.0") from None
    if not (-180 <= lon <= 180 and -90 <= lat <= 90):
        raise InputError(f"{text!r} is no position on earth", remedy="Longitude comes first: --place LON,LAT")
    return lon, lat, x, y


@contextmanager
def reported(catalog: Catalog, folder: Path | None) -> Iterator[list[LoadResult]]:
    """Writes the acceptance report of the load that is done within and put into the list; that of a refused delivery too, then the
    refusal goes on."""
    done: list[LoadResult] = []
    if folder is None:
        yield done
        return
    from gis.ingest import acceptance

    with evidence.gathering() as found:
        try:
            yield done
        except Rejected as refused:
            acceptance.write(catalog, refused.result, found, folder)
            raise
    for result in done:
        acceptance.write(catalog, result, found, folder)


_COUNTS = ("inserted", "updated", "retired", "unchanged", "conflicts")


def told(result: LoadResult):
    """The result for people."""
    table = rows(
        ["layer", "scope", "read", "loaded", "rejected", "new", "changed", "retired", "unchanged", "conflicts"],
        [[o.layer, o.scope or "", o.rows_read, o.rows_loaded, o.rows_rejected, *(getattr(o, k) for k in _COUNTS)] for o in result.layers],
        title=f"batch {result.batch}: {result.status}, {result.seconds:.1f} s",
    )
    table.caption = ", ".join(f"{code} {n}" for code, n in result.findings.items()) or None
    return table


def register(app: typer.Typer) -> None:
    """Add `load`, `rollback` and `batches` to the command."""
    app.command(context_settings={"allow_interspersed_args": True})(load)
    app.command()(rollback)
    app.command()(batches)
