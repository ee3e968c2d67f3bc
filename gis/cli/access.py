"""`onemap user …`, `onemap key …`: who may log in, with what, how much he may ask."""

from __future__ import annotations

import datetime as dt
import sys
from typing import Annotated

import typer

from gis.access import accounts, passwords
from gis.catalog.model import ROLES
from gis.cli.output import emit, rows
from gis.errors import InputError

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]
Stdin = Annotated[bool, typer.Option("--password-stdin", help="Read the password from standard input.")]
MustChange = Annotated[
    bool | None,
    typer.Option("--must-change/--need-not-change", help="Whether it must be changed at the first log-in; one made here must be."),
]

user = typer.Typer(help="Users, their roles and limits. 用户、角色、限额。", no_args_is_help=True)
key = typer.Typer(help="Keys for programs and viewers. 密钥。", no_args_is_help=True)


@user.command("add")
def add_user(
    name: str,
    role: Annotated[str, typer.Option(help="One of " + ", ".join(r for r in ROLES if r != "anonymous"))],
    password_stdin: Stdin = False,
    no_password: Annotated[bool, typer.Option("--no-password", help="Keys only.")] = False,
    must_change: MustChange = None,
    department: Annotated[str | None, typer.Option(help="Where he belongs. 部门")] = None,
    expires: Annotated[str | None, typer.Option(metavar="DATE", help="The day from which the account does not hold. 到期日")] = None,
    json: Json = False,
) -> None:
    """Make a user, or change the role of one. Without --password-stdin a password is made and shown once."""
    given = _read_password() if password_stdin else None
    known = any(one["name"] == name and one["password"] for one in accounts.users())
    made = None if password_stdin or no_password or known else passwords.made()
    accounts.add_user(
        name, role, given if password_stdin else made, department=department, expires=_day(expires, "--expires"),
        must_change=made is not None if must_change is None else must_change,
    )  # fmt: skip
    answer = {"user": name, "role": role} | ({"password": made} if made else {})
    emit(answer, json)


def _read_password() -> str:
    return sys.stdin.readline().rstrip("\r\n")


def _day(text: str | None, where: str) -> dt.date | None:
    try:
        return dt.date.fromisoformat(text) if text else None
    except ValueError:
        raise InputError(f"{text[:40]!r} is no date", where=where, remedy="Give it as YYYY-MM-DD") from None


@user.command("list")
def list_users(json: Json = False) -> None:
    """All users, those of the identity provider too."""
    found = accounts.users()
    names = ("name", "role", "department", "disabled", "password", "keys", "locked", "expires_at", "last_login_at", "last_login_from")
    emit(found, json, lambda: rows(names, ((_short(one[name]) for name in names) for one in found)))


def _short(value: object) -> object:
    return f"{value:%Y-%m-%d %H:%M}" if isinstance(value, dt.datetime) else value


@user.command("password")
def set_password(
    name: str,
    password_stdin: Stdin = False,
    no_password: Annotated[bool, typer.Option("--no-password", help="Take it away: keys only.")] = False,
    must_change: MustChange = None,
    json: Json = False,
) -> None:
    """Give a user another password: one that is made and shown once, or from standard input. Ends his sessions and a lock."""
    made = None if password_stdin or no_password else passwords.made()
    given = _read_password() if password_stdin else made
    accounts.set_password(name, given, must_change=made is not None if must_change is None else must_change)
    emit({"user": name} | ({"password": made} if made else {}), json)


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


@user.command("expire")
def expire_user(
    name: str,
    day: Annotated[str | None, typer.Argument(metavar="[DATE]", help="The day from which it does not hold; none: it holds on.")] = None,
    json: Json = False,
) -> None:
    """Let an account end on a day."""
    ends = _day(day, "DATE")
    accounts.expire_user(name, ends)
    emit({"user": name, "expires_at": ends}, json)


@user.command("unlock")
def unlock_user(name: str, json: Json = False) -> None:
    """Let a user try again at once who typed too many wrong passwords."""
    emit({"user": name, "was_locked": accounts.unlock_user(name)}, json)


@user.command("limit")
def limit_user(
    subject: Annotated[str, typer.Argument(help="user:NAME or role:NAME")],
    rate: Annotated[float | None, typer.Option(min=0, help="Requests per second; 0: no limit.")] = None,
    at_once: Annotated[int | None, typer.Option(min=0, help="Requests at the same time; 0: no limit.")] = None,
    heavy: Annotated[int | None, typer.Option(min=0, help="Of these, downloads and processes; 0: no limit.")] = None,
    file_rows: Annotated[int | None, typer.Option(min=0, help="Features in one download; 0: no limit.")] = None,
    json: Json = False,
) -> None:
    """What a user or role may ask at most, where that differs from the settings; without options: as the settings say."""
    accounts.allow(subject, rate_per_s=rate, at_once=at_once, heavy_at_once=heavy, file_rows=file_rows)
    found = accounts.allowances()
    emit(found, json, lambda: rows(("subject", "rate", "at_once", "heavy", "file_rows"), (one.values() for one in found)))


@key.command("new")
def new_key(
    name: str,
    days: Annotated[int | None, typer.Option(help="Days until it expires; default: ONEMAP_KEY_DAYS.")] = None,
    json: Json = False,
) -> None:
    """A new key for a user. It is shown once: only its digest is kept."""
    made = accounts.new_key(name, days=days)
    emit({"user": name, "key": made}, json, table=made)


@key.command("list")
def list_keys(name: Annotated[str | None, typer.Argument()] = None, json: Json = False) -> None:
    """The keys of a user, or all: their first characters, never the keys."""
    found = [one.as_dict() for one in accounts.keys(name)]
    titles = ("id", "user", "prefix", "created", "expires", "revoked", "last used", "from")
    emit(found, json, lambda: rows(titles, (map(_short, one.values()) for one in found)))


@key.command("rotate")
def rotate_key(
    which: Annotated[str, typer.Argument(help="The number or the first characters of the key.")],
    grace: Annotated[float, typer.Option(min=0, help="Hours that the old key holds beside the new one.")] = 24,
    json: Json = False,
) -> None:
    """A new key in place of one that must not be lost at once: the old one holds for some hours more."""
    made = accounts.rotate_key(which, grace_hours=grace)
    emit({"key": made, "old_holds_hours": grace}, json, table=made)


@key.command("expire")
def expire_key(
    which: Annotated[str, typer.Argument(help="The number or the first characters of the key.")],
    days: Annotated[int, typer.Option(min=1, help="Days from now.")],
    json: Json = False,
) -> None:
    """Let a key end in so many days."""
    emit({"expires": accounts.expire_key(which, days), "days": days}, json)


@key.command("revoke")
def revoke_key(which: Annotated[str, typer.Argument(help="The number or the first characters of the key.")], json: Json = False) -> None:
    """Revoke a key; it holds no longer from now on."""
    emit({"revoked": accounts.revoke_key(which)}, json)


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.add_typer(user, name="user")
    app.add_typer(key, name="key")
