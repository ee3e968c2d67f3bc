"""`onemap survey …`: what a pipe survey's findings mean, and a sample survey to try it with (loading one is `onemap load survey`)."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from gis.cli.output import emit, rows
from gis.errors import InputError

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]

survey = typer.Typer(help="Pipe surveys by CJJ 61-2017: codes of the findings, a sample delivery. 管线普查成果。", no_args_is_help=True)


@survey.command()
def codes(json: Json = False) -> None:
    """The codes of a survey's findings: level, what is wrong, what to do. 检查代码。"""
    from etl.pipe_survey_codes import CODES

    emit(
        CODES, json,
        table=lambda: rows(["code", "level", "问题", "处理建议"], [[c, v["level"], v["zh"], v["remedy_zh"]] for c, v in CODES.items()]),
    )  # fmt: skip


@survey.command()
def sample(
    out: Annotated[Path, typer.Option(metavar="DIR", help="The folder of the tables.")],
    addresses: Annotated[int, typer.Option(help="The size of the town whose pipelines are surveyed.")] = 2000,
    seed: Annotated[int, typer.Option(help="Another seed is another town.")] = 1,
    spacing: Annotated[float, typer.Option(min=2, max=75, help="Metres from one point of a line to the next, at most.")] = 70.0,
    defects: Annotated[bool, typer.Option("--defects", help="Plant a fault of every kind and list them in manifest.json.")] = False,
    form: Annotated[str, typer.Option(help="csv (GBK, one file per table) or xlsx (one workbook).")] = "csv",
    json: Json = False,
) -> None:
    """Make the point and line tables of a fictional survey. 生成示例普查成果。"""
    from etl import pipe_survey_sample

    if form not in ("csv", "xlsx"):
        raise InputError(f"no such form {form!r}", remedy="csv or xlsx")
    made = pipe_survey_sample.make(out, addresses=addresses, seed=seed, spacing=spacing, defects=defects, form=form)
    emit(made, json, table=lambda: rows(list(made), [list(made.values())]))


def register(app: typer.Typer) -> None:
    """Add `onemap survey`."""
    app.add_typer(survey, name="survey")
