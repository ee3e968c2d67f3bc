"""Commands on door-plates (二维码门牌，一户一码): issue, check, resolve, qr."""

from __future__ import annotations

import csv
import datetime as dt
import secrets
from pathlib import Path
from typing import Annotated

import geopandas as gpd
import pandas as pd
import segno
import shapely
import typer

from gis import crs
from gis.analysis import doorplate_code, doorplates
from gis.cli.output import console, emit, rows
from gis.cli.places import headed, read_csv
from gis.db.store import Store
from gis.errors import InputError, NotFound
from gis.ingest.load import load_frames
from gis.settings import served_at, settings

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]
CODE_COLUMNS = ("门牌编码", "编码", "code", "CODE")
ALPHABET = "23456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnpqrstuvwxyz"
"""Digits and letters that are not mistaken for each other."""
TOKEN_LENGTH = 22
"""128 bits: a token cannot be guessed, and says nothing of the address."""
JOB_TIMEOUT_S = 600

plates = typer.Typer(help="Door-plates: issue, check, resolve, qr. 二维码门牌。", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    """Adds the commands."""
    app.add_typer(plates, name="doorplate")


def _random(length: int) -> str:
    return "".join(secrets.choice(ALPHABET) for _ in range(length))


@plates.command()
def issue(
    community: Annotated[str | None, typer.Option(help="Only addresses of this community (12 digits).")] = None,
    limit: Annotated[int, typer.Option(min=1, help="At most so many plates.")] = 1_000_000,
    out: Annotated[Path | None, typer.Option(help="The plates as CSV for the maker (UTF-8 with BOM).")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would be issued; change nothing.")] = False,
    json: Json = False,
) -> None:
    """Give a code and a QR token to every address that has no plate. 编码发牌。"""
    with Store("admin", timeout_s=JOB_TIMEOUT_S) as store:
        addresses = store.frame_of("doorplate_without", community=community, limit=limit, day=dt.date.today())
        grids = sorted(set(addresses["grid_code"].dropna()))
        existing = store.frame_of("doorplate_codes", grids=grids)
        catalog = store.catalog
    issued, skipped = doorplates.issue(addresses, existing)
    made = _plates(addresses, issued)
    batch = None
    if len(made):
        result = load_frames(
            catalog, {"door_plate": made}, name="doorplate issue", mode="append", dry_run=dry_run, extent=catalog.city.extent
        )
        batch = None if dry_run else result.batch
    if out and len(made):
        made.drop(columns=["geometry", "valid_from"]).assign(url=[url(token) for token in made["token"]]).to_csv(
            out, index=False, encoding="utf-8-sig"
        )
    answer = {
        "issued": len(made), "skipped": len(skipped), "why": skipped["reason"].value_counts().to_dict(), "dry_run": dry_run,
        "batch": batch, "examples": made[["plate_id", "code", "address"]].head(10).to_dict("records"),
    }  # fmt: skip
    emit(answer, json, table=lambda: _issue_table(answer))


def _plates(addresses: pd.DataFrame, issued: pd.DataFrame) -> gpd.GeoDataFrame:
    """Rows of the layer door_plate: a permanent id without meaning, code, token, and what the address says."""
    table = issued.merge(addresses.drop(columns="grid_code"), on="address_id")
    lane = table["lane"].fillna("")
    frame = pd.DataFrame({
        "plate_id": [f"MP{_random(16)}" for _ in range(len(table))], "code": table["code"].astype(str), "address_id": table["address_id"],
        "address": table["full_text"], "building_id": table["building_id"], "kind": table["kind"],
        "road": (table["road"].fillna("") + lane).where(table["road"].notna()), "number": table["number"],
        "token": [_random(TOKEN_LENGTH) for _ in range(len(table))], "grid_code": table["grid_code"], "state": "planned",
        "valid_from": dt.date.today(),
    })  # fmt: skip
    return gpd.GeoDataFrame(frame, geometry=shapely.points(table["lon"].astype(float), table["lat"].astype(float)), crs=crs.STORED)


def _issue_table(answer: dict):
    said = "将发 would issue" if answer["dry_run"] else "已发 issued"
    why = "；".join(f"{doorplates.REASONS[reason][0]} {count}" for reason, count in answer["why"].items())
    title = f"{said} {answer['issued']:,}，跳过 skipped {answer['skipped']:,}" + (f"（{why}）" if why else "")
    lines = ((row["plate_id"], row["code"], row["address"]) for row in answer["examples"])
    return headed(title, rows(("门牌", "编码", "地址"), lines))


@plates.command()
def check(
    code: Annotated[str | None, typer.Argument(help="A code as printed or typed.")] = None,
    file: Annotated[Path | None, typer.Option(help="A CSV of codes.")] = None,
    out: Annotated[Path | None, typer.Option(help="The faulty rows as CSV.")] = None,
    json: Json = False,
) -> None:
    """Whether codes are well formed and their check digit agrees. 校验编码。"""
    if (code is None) == (file is None):
        raise InputError("give either a code or --file")
    if code is not None:
        parts = doorplate_code.parse(code)
        answer = {"valid": True, "code": str(parts), "printed": parts.printed, "area": parts.area, "grid_code": parts.grid_code,
                  "building": parts.building, "unit": parts.unit, "check": parts.check}  # fmt: skip
        emit(answer, json)
        return
    emit(_check_file(file, out), json)


def _check_file(file: Path, out: Path | None) -> dict:
    header, body = read_csv(file)
    column = next((header.index(name) for name in CODE_COLUMNS if name in header), 0)
    codes = pd.Series([doorplate_code.normalised(row[column]) if column < len(row) else "" for row in body], dtype=object)
    fault = doorplate_code.faults(codes.to_numpy())
    twice = codes.duplicated(keep=False).to_numpy() & (fault == doorplate_code.OK)
    reasons = [" ".join(doorplate_code.REASONS[value]) if value else "编码重复 given twice" for value in fault]
    wrong = [row for row in range(len(body)) if fault[row] or twice[row]]
    if out:
        with out.open("w", encoding="utf-8-sig", newline="") as stream:
            table = csv.writer(stream)
            table.writerow(["row", "code", "reason"])
            table.writerows([row + 2, codes[row], reasons[row]] for row in wrong)
    counts = pd.Series([reasons[row] for row in wrong], dtype=object).value_counts().to_dict()
    return {"codes": len(body), "valid": len(body) - len(wrong), "wrong": len(wrong), "why": counts}


def _found(name: str) -> dict:
    """The one plate of this code, token, plate id or address id."""
    if not name.strip() or len(name) > 100:
        raise InputError("give a code, a token or the id of a plate")
    with Store("admin") as store:
        store.require(["door_plate"])
        found = store.rows("doorplate_find", name=name.strip(), code=doorplate_code.normalised(name))
    if not found:
        looks_like_code = len(doorplate_code.normalised(name)) == doorplate_code.LENGTH
        remedy = "The code itself is right; no plate has it" if looks_like_code else "Give the code, the token or the plate id"
        if looks_like_code:
            doorplate_code.parse(name)
        raise NotFound("no door-plate has this code or token", remedy=remedy)
    return found[0]


@plates.command()
def resolve(name: Annotated[str, typer.Argument(help="A code, a QR token, or the id of a plate or address.")], json: Json = False) -> None:
    """What a code or token stands for. 查门牌。"""
    found = _found(name)
    emit(found | {"url": url(found["token"]) if found["token"] else None}, json)


def url(token: str) -> str:
    """What the QR code of a plate says: an address of this platform with the plate's token, nothing else. Where no public address is set,
    that at which `onemap serve` was last started here."""
    return f"{served_at()}/d/{token}"


@plates.command()
def qr(
    name: Annotated[str, typer.Argument(help="A code, a QR token, or the id of a plate or address.")],
    out: Annotated[Path, typer.Option(help="FILE.png or FILE.svg.")],
    size: Annotated[int, typer.Option(min=1, max=100, help="Pixels (or SVG units) per module.")] = 10,
    json: Json = False,
) -> None:
    """The QR code of a plate as a picture. 二维码。"""
    kind = out.suffix.lower().lstrip(".")
    if kind not in ("png", "svg"):
        raise InputError(f"--out cannot write {out.suffix}", remedy="Name it .png or .svg")
    if not out.parent.is_dir():
        raise InputError(f"the folder of {out.name} does not exist", where="--out")
    found = _found(name)
    if not found["token"]:
        raise NotFound("this plate has no token", remedy="Issue the plate again, or load its token")
    if settings().public_url is None:
        console.print("ONEMAP_PUBLIC_URL is not set: the QR code leads to this machine only")
    segno.make(url(found["token"]), error="m", micro=False).save(str(out), kind=kind, scale=size, border=4)
    emit({"plate_id": found["plate_id"], "url": url(found["token"]), "file": out.name}, json)
