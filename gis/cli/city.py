"""`onemap city …`: the sample city: make its source files, load them as an ordinary delivery."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from gis.catalog import read
from gis.cli.output import emit, rows
from gis.cli.progress import progressing

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]

city = typer.Typer(help="The sample city: make its source files, load them. 示例城市。", no_args_is_help=True)


@city.command()
def make(
    out: Annotated[Path, typer.Option(metavar="DIR", help="The folder of the source files.")],
    addresses: Annotated[int, typer.Option(help="How many standard addresses; the town grows with it.")] = 20_000,
    seed: Annotated[int, typer.Option(help="Another seed is another town.")] = 1,
    defects: Annotated[bool, typer.Option("--defects", help="Plant faults of every kind and list them in manifest.json.")] = False,
    json: Json = False,
) -> None:
    """Make the source files of a fictional county, as a bureau would deliver them. 生成示例数据。"""
    from etl import synthetic_city

    with progressing() as progress:
        made = synthetic_city.make(addresses, seed, out, defects=defects, progress=progress)
    emit(
        made,
        json,
        table=lambda: rows(
            ["layer", "rows", "file"],
            [[k, n, made["files"].get(k, "")] for k, n in made["layers"].items()],
            title=f"{made['addresses']:,} addresses, seed {seed}: {made['seconds']} s",
        ),
    )


@city.command()
def load(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A folder of source files named after their layers.")],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Do everything, then undo it.")] = False,
    json: Json = False,
) -> None:
    """Load all files of a folder as one delivery, in the order in which they refer to one another. 整体入库。"""
    from etl.city import delivery

    with progressing() as progress:
        results = delivery.load(read.catalog(), folder, dry_run=dry_run, progress=progress)
    findings: dict[str, int] = {}
    for result in results:
        for code, n in result.findings.items():
            findings[code] = findings.get(code, 0) + n
    answer = {
        "batches": [r.batch for r in results], "rows_read": sum(r.rows_read for r in results),
        "rows_loaded": sum(r.rows_loaded for r in results), "rows_rejected": sum(r.rows_rejected for r in results),
        "findings": findings, "seconds": round(sum(r.seconds for r in results), 3), "loads": [r.as_dict() for r in results],
    }  # fmt: skip
    lines = [[o.layer, o.rows_read, o.rows_loaded, o.rows_rejected] for r in results for o in r.layers]
    emit(
        answer,
        json,
        table=lambda: rows(["layer", "read", "loaded", "rejected"], lines, title=f"batches {answer['batches']}: {answer['seconds']} s"),
    )


def register(app: typer.Typer) -> None:
    """Add `onemap city`."""
    app.add_typer(city, name="city")
