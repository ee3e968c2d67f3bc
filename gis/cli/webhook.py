"""`onemap webhook …`: who is told by HTTP when layers change."""

from __future__ import annotations

from typing import Annotated

import typer

from gis.cli.output import emit, rows

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]
Number = Annotated[int, typer.Argument(metavar="ID", help="The webhook's number.")]
webhook = typer.Typer(help="Who is told by HTTP when layers change. 变更推送。", no_args_is_help=True)


@webhook.command()
def add(
    url: Annotated[str, typer.Argument(metavar="URL", help="http or https; its host must be listed in ONEMAP_WEBHOOK_HOSTS.")],
    layer: Annotated[list[str], typer.Option(help="A layer whose changes are told; several times for several.")],
    user: Annotated[str | None, typer.Option(help="With the rights of this user.")] = None,
    role: Annotated[str | None, typer.Option(help="With the rights of this role.")] = None,
    json: Json = False,
) -> None:
    """Tell a URL of changes from now on. The secret that signs is shown once. 登记推送地址。"""
    from gis.api import webhook_delivery

    number, secret = webhook_delivery.subscribe(url, list(dict.fromkeys(layer)), user=user, role=role)
    emit({"webhook": number, "secret": secret}, json)


@webhook.command("list")
def list_(json: Json = False) -> None:
    """All webhooks: whom, of what, with whose rights, and how they stand. 推送列表。"""
    from gis.access import webhooks

    found = webhooks.webhooks()
    shown = ("id", "url", "user", "role", "state", "failures", "delivered_at", "message")
    lines = ([*(one[name] for name in shown), ", ".join(one["layers"])] for one in found)
    emit(found, json, lambda: rows((*shown, "layers"), lines))


@webhook.command()
def remove(number: Number, json: Json = False) -> None:
    """End a subscription. 取消推送。"""
    from gis.access import webhooks

    webhooks.remove(number)
    emit({"removed": number}, json)


@webhook.command()
def enable(number: Number, json: Json = False) -> None:
    """Tell a subscriber again who was given up; what he missed comes first. 恢复推送。"""
    from gis.access import webhooks

    webhooks.enable(number)
    emit({"enabled": number}, json)


@webhook.command()
def test(number: Number, json: Json = False) -> None:
    """Send an event that says nothing, now. 测试推送。"""
    from gis.api import webhook_delivery

    emit({"webhook": number, "status": webhook_delivery.try_out(number)}, json)


def register(app: typer.Typer) -> None:
    """Add `onemap webhook`."""
    app.add_typer(webhook, name="webhook")
