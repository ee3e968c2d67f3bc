"""`onemap user …`, `onemap key …`, `onemap audit`: who may log in, with what, and who saw what."""

from __future__ import annotations

import datetime as dt
import secrets
import sys
from typing import Annotated

import typer

from gis.access import accounts
from gis.access import audit as trail
from gis.catalog.model import ROLES
from gis.cli.output import emit, rows
from gis.errors import InputError

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]

user = typer.Typer(help="Users and their roles. 用户与角色。", no_args_is_help=True)
key = typer.Typer(help="Keys for programs and viewers. 密钥。", no_args_is_help=True)


@user.command("add")
def add_user(
    name: str,
    role: Annotated[str, typer.Option(help="One of " + ", ".join(r for r in ROLES if r != "anonymous"))],
    password_stdin: Annotated[bool, typer.Option("--password-stdin", help="Read the password from standard input.")] = False,
    no_password: Annotated[bool, typer.Option("--no-password", help="Keys only.")] = False,
    json: Json = False,
) -> None:
    """Make a user, or change the role of one. Without --password-stdin a password is made and shown once."""
    given = sys.stdin.readline().rstrip("\r\n") if password_stdin else None
    known = any(one["name"] == name and one["password"] for one in accounts.users())
    made = None if password_stdin or no_password or known else f"{secrets.token_urlsafe(12)}-7a"
    accounts.add_user(name, role, given if password_stdin else made)
    answer = {"user": name, "role": role} | ({"password": made} if made else {})
    emit(answer, json)


@user.command("list")
def list_users(json: Json = False) -> None:
    """All users."""
    found = accounts.users()
    emit(found, json, lambda: rows(("name", "role", "disabled", "password", "keys"), (one.values() for one in found)))


@user.command("disable")
def disable_user(name: str, json: Json = False) -> None:
    """Shut a user out; his keys hold no longer."""
    accounts.disable_user(name)
    emit({"user": name, "disabled": True}, json)


@user.command("enable")
def enable_user(name: str, json: Json = False) -> None:
    """Let a user in again who was shut out; his keys hold again."""
    accounts.enable_user(name)
    emit({"user": name, "disabled": False}, json)


@key.command("new")
def new_key(
    name: str,
    days: Annotated[int | None, typer.Option(help="Days until it expires; default: until revoked.")] = None,
    json: Json = False,
) -> None:
    """A new key for a user. It is shown once: only its digest is kept."""
    made = accounts.new_key(name, days=days)
    emit({"user": name, "key": made}, json, table=made)


@key.command("list")
def list_keys(name: Annotated[str | None, typer.Argument()] = None, json: Json = False) -> None:
    """The keys of a user, or all: their first characters, never the keys."""
    found = [one.as_dict() for one in accounts.keys(name)]
    emit(found, json, lambda: rows(("id", "user", "prefix", "created", "expires", "revoked"), (one.values() for one in found)))


@key.command("revoke")
def revoke_key(which: Annotated[str, typer.Argument(help="The number or the first characters of the key.")], json: Json = False) -> None:
    """Revoke a key; it holds no longer after a few seconds."""
    emit({"revoked": accounts.revoke_key(which)}, json)


def audit(
    user: Annotated[str | None, typer.Option(help="Only this user.")] = None,
    layer: Annotated[str | None, typer.Option(help="Only this layer.")] = None,
    since: Annotated[str | None, typer.Option(metavar="DATE", help="Only from this day on.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="How many, the newest first.")] = 50,
    json: Json = False,
) -> None:
    """Who read which layer that is not public, when, how much and where. 审计。"""
    try:
        day = dt.date.fromisoformat(since) if since else None
    except ValueError:
        raise InputError(f"{since[:40]!r} is no date", where="--since", remedy="Give it as YYYY-MM-DD") from None
    found = trail.entries(user=user, layer=layer, since=day, limit=limit)
    emit(found, json, lambda: rows(
        ("at", "user", "role", "action", "layer", "n"),
        ((one["at"].strftime("%Y-%m-%d %H:%M:%S"), *(one[name] for name in ("user", "role", "action", "layer", "n"))) for one in found),
    ))  # fmt: skip


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(audit)
    app.add_typer(user, name="user")
    app.add_typer(key, name="key")
