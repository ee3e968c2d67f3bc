"""`onemap doctor`: whether the installation is sound. The docstring of a check is its title, the hint its remedy."""

from __future__ import annotations

import ctypes.util
import ipaddress
import os
import shutil
import stat
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated
from urllib.parse import urlsplit

import typer

from etl import history, jobs
from gis.access import address, chain
from gis.access.operator import Operator
from gis.catalog import read
from gis.cli import layers
from gis.cli.output import emit, paper
from gis.db import binaries, cluster, migrations, plan
from gis.db.connection import owner, reading
from gis.errors import OneMapError, StoreError
from gis.ingest.sandbox_process import DRIVERS as FORMATS
from gis.settings import ROOT, settings

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]
GIB = 1024**3


class Unsound(OneMapError):
    """What a check found is not as it must be."""


@dataclass(frozen=True)
class Check:
    """`look` says in a few words what it found; it raises where that is not sound."""

    title: str
    hint: str
    look: Callable[[], str]


CHECKS: list[Check] = []


def check(hint: str) -> Callable[[Callable[[], str]], Callable[[], str]]:
    """Make a function a check, with its remedy."""

    def add(look: Callable[[], str]) -> Callable[[], str]:
        CHECKS.append(Check((look.__doc__ or "").strip().rstrip("."), hint, look))
        return look

    return add


def _require(sound: bool, found: str) -> str:
    if not sound:
        raise Unsound(found)
    return found


def _asked(question: str) -> tuple:
    with owner() as connection, connection.cursor() as cursor:
        cursor.execute(question)
        return cursor.fetchone()


# --- the machine ------------------------------------------------------------------------------------------------------


@check("Install Python 3.12 or newer, then run ./run setup")
def python() -> str:
    """Python is 3.12 or newer."""
    return _require(sys.version_info >= (3, 12), sys.version.split()[0])


@check("Run ./run setup, or install the packages postgresql and postgresql-postgis")
def programs() -> str:
    """The programs of PostgreSQL 15 or newer are here."""
    if cluster.is_external():
        return "not needed: an external server is used"
    return f"PostgreSQL {binaries.major_version(binaries.binaries())}"


@check("Run ./run setup, or install the packages libpango-1.0-0 and libpangoft2-1.0-0")
def printing() -> str:
    """Notices can be printed as PDF (Pango is here)."""
    return _require(bool(ctypes.util.find_library("pangoft2-1.0")), ctypes.util.find_library("pango-1.0") or "no Pango")


@check("Install the packages fontconfig and fonts-noto-cjk")
def fonts() -> str:
    """There is a font with Chinese characters."""
    if not shutil.which("fc-list"):
        raise Unsound("fontconfig is missing")
    found = subprocess.run(["fc-list", ":lang=zh", "family"], capture_output=True, text=True).stdout.split("\n")
    return _require(bool(found[0]), found[0].split(",")[0] or "none")


@check("Install the pinned packages: ./run setup")
def formats() -> str:
    """GDAL reads the formats of deliveries, and mdbtools those of Access."""
    import pyogrio

    missing = set(FORMATS) - set(pyogrio.list_drivers(read=True))
    missing |= set() if shutil.which("mdb-export") else {"Access (apt-get install mdbtools)"}
    return _require(not missing, f"{len(FORMATS)} formats" if not missing else "not " + ", ".join(sorted(missing)))


@check("Make room: the database, the kept sources and backups need it")
def disk() -> str:
    """There is room on the disk (2 GiB)."""
    home = settings().home
    free = shutil.disk_usage(home if home.exists() else ROOT).free
    return _require(free > 2 * GIB, f"{free / GIB:.1f} GiB free")


@check("Run `onemap db start` as the user who installed the platform: it closes the home folder to others")
def home() -> str:
    """Deliveries, networks and tiles are readable by the platform's user only."""
    here = settings().home
    places = [here, *(here / name for name in cluster.ROOMS)]
    # the way through the home, without a look into it, is the database server's
    shown = [place.name for place in places if place.is_dir() and place.stat().st_mode & (0o066 if place == here else 0o077)]
    return _require(not shown, ", ".join(shown) or "closed")


@check("chmod 600 the files in secrets/ of the home folder")
def secrets() -> str:
    """Passwords are readable by their owner only."""
    files = list((settings().home / "secrets").glob("*"))
    open_to_others = [file.name for file in files if stat.S_IMODE(os.stat(file).st_mode) & 0o077]
    return _require(not open_to_others, ", ".join(open_to_others) or f"{len(files)} files")


@check("Behind a reverse proxy set ONEMAP_PUBLIC_URL and ONEMAP_TRUSTED_PROXIES to it and to nobody else; see docs/security.md")
def way_in() -> str:
    """Callers come over TLS, and their addresses are known."""
    public, proxies = urlsplit(settings().public_url or ""), address.networks(settings().trusted_proxies)
    _require(not any(network.prefixlen < 8 for network in proxies), f"everybody is trusted: {settings().trusted_proxies}")
    _require(not proxies or bool(public.netloc), "links are made of what callers write as Host: no ONEMAP_PUBLIC_URL")
    outside = not _is_loopback(public.hostname or settings().host)
    _require(not (outside and public.netloc) or bool(proxies), "all callers have the proxy's address: no ONEMAP_TRUSTED_PROXIES")
    _require(not outside or public.scheme == "https", f"passwords go in the clear to {settings().public_url or settings().host}")
    return f"{settings().public_url or settings().host}, behind {settings().trusted_proxies or 'nobody'}"


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


# --- the definitions --------------------------------------------------------------------------------------------------


@check("Correct the layer file as the message says")
def definitions() -> str:
    """The layer files can be read."""
    return f"{len(read.catalog().layers)} layers"


@check("Run `onemap layers render` and commit the result")
def rendered() -> str:
    """The configuration and pages rendered from the layer files are current."""
    files = layers.rendered()
    stale = [name for name, text in files.items() if not (ROOT / name).is_file() or (ROOT / name).read_text(encoding="utf-8") != text]
    return _require(not stale, ", ".join(stale[:3]) or f"{len(files)} files")


@check("Run ./run setup (needs Node.js 18 or newer and npm)")
def viewer() -> str:
    """The map's web page is built."""
    built = (ROOT / "gis" / "viewer" / "dist" / "index.html").is_file()
    return _require(built, "built" if built else "not built")


# --- the database -----------------------------------------------------------------------------------------------------


@check("Run `onemap db start`; for an external server correct ONEMAP_DSN")
def database() -> str:
    """The database answers."""
    return f"{_asked('SELECT pg_size_pretty(pg_database_size(current_database()))')[0]}"


@check("Use PostgreSQL 15 or newer with PostGIS 3.3 or newer")
def versions() -> str:
    """The server is PostgreSQL 15 and PostGIS 3.3 or newer."""
    server, postgis = _asked("SELECT current_setting('server_version'), (SELECT extversion FROM pg_extension WHERE extname = 'postgis')")
    new_enough = int(server.split(".")[0]) >= 15 and postgis and tuple(map(int, postgis.split(".")[:2])) >= (3, 3)
    return _require(bool(new_enough), f"PostgreSQL {server.split()[0]}, PostGIS {postgis}")


@check("Make the database anew with the locale C.UTF-8 (`onemap db reset`); address search is wrong without it")
def chinese() -> str:
    """The database's locale knows Chinese characters."""
    found, locale = _asked("SELECT show_trgm('府前街'), datctype FROM pg_database WHERE datname = current_database()")
    return _require(bool(found), locale)


@check("ALTER SYSTEM RESET fsync; ALTER SYSTEM RESET full_page_writes; then restart the server")
def durability() -> str:
    """A power cut loses nothing that was committed (fsync)."""
    values = _asked("SELECT current_setting('fsync'), current_setting('full_page_writes')")
    return _require(values == ("on", "on"), f"fsync {values[0]}, full_page_writes {values[1]}")


@check("Run `onemap db start`")
def migrated() -> str:
    """All migrations are applied."""
    waiting = [migration.name for migration in migrations.pending()]
    return _require(not waiting, ", ".join(waiting) or f"{len(migrations.migrations())} migrations")


@check("Run `onemap layers plan`, then `onemap layers apply`")
def applied() -> str:
    """The database is as the layer files say."""
    changes = plan.plan(read.catalog())
    return _require(not changes, "; ".join(change.text for change in changes[:3]) or "nothing to do")


@check("Run `onemap db start`, which gives the login its password; for an external server set ONEMAP_DSN_SERVING")
def serving() -> str:
    """The serving login can enter and owns nothing."""
    with reading("anonymous") as connection, connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_class WHERE relowner = (SELECT oid FROM pg_roles WHERE rolname = session_user)")
        owned = cursor.fetchone()[0]
    return _require(owned == 0, "owns nothing" if not owned else f"owns {owned} relations")


@check("Run `onemap layers apply`; look for grants made by hand")
def closed() -> str:
    """Who is not logged in sees no pipes, in the database itself."""
    pipes = [layer.id for layer in read.catalog().layers.values() if layer.group == "pipe"]
    with owner() as connection, connection.cursor() as cursor:
        cursor.execute(
            "SELECT array_agg(c.relname::text) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
            " WHERE n.nspname IN ('core', 'history', 'pub', 'stage') AND regexp_replace(c.relname, '_history$', '') = ANY (%s)"
            " AND (has_table_privilege('onemap_anonymous', c.oid, 'SELECT')"
            "      OR has_any_column_privilege('onemap_anonymous', c.oid, 'SELECT'))",
            (pipes,),
        )
        seen = cursor.fetchone()[0]
    return _require(not seen, ", ".join(seen or []) or f"{len(pipes)} layers closed")


@check("Compare with the backups and with the heads that were kept; see `onemap audit verify` and docs/security.md")
def recorded() -> str:
    """The audit is whole."""
    found = chain.verify(who=Operator("doctor"))
    return _require(found["whole"], found["faults"][0]["what"] if found["faults"] else f"{found['rows']} rows")


@check("Look at `onemap jobs list` and `onemap jobs check`; run `onemap serve` or `onemap worker` so that somebody keeps the times")
def scheduled() -> str:
    """The scheduled loads run, and the last runs went well."""
    found = jobs.read(settings().jobs_file)
    if not found.jobs:
        return "none"
    listed, clock = history.jobs(found), history.scheduler()
    failing = [one["job"] for one in listed if one["failing"]]
    due = any(one["next"] for one in listed)
    _require(not failing, f"failed: {', '.join(failing)}")
    return _require(not due or (clock["alive"] and not clock["fault"]), f"{len(listed)} jobs" if clock["alive"] else "no worker runs")


def examine() -> list[dict]:
    """Every check: its title, whether it is sound, what was found, and the remedy where it is not."""
    answers = []
    for item in CHECKS:
        try:
            answers.append({"check": item.title, "sound": True, "found": item.look()})
        except OneMapError as error:
            found = error.what if isinstance(error, Unsound) else str(error)
            answers.append({"check": item.title, "sound": False, "found": found, "remedy": item.hint})
    return answers


def doctor(json: Json = False) -> None:
    """Check the installation and say the remedy. 检查安装。"""
    answers = examine()
    ill = [answer for answer in answers if not answer["sound"]]
    if json:
        emit({"sound": not ill, "checks": answers}, json=True)
    for answer in () if json else answers:
        mark = "[green]✓[/]" if answer["sound"] else "[red]✗[/]"
        paper.print(f"{mark} {answer['check']}: [dim]{answer['found']}[/]", soft_wrap=True)
        if not answer["sound"]:
            paper.print(f"    → {answer['remedy']}", markup=False, soft_wrap=True)
    if ill:
        raise typer.Exit(StoreError.exit_code)
    if not json:
        paper.print("The installation is sound.")


def register(app: typer.Typer) -> None:
    """Add `doctor` to the command."""
    app.command()(doctor)
