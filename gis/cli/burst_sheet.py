"""A burst on paper: the answer with its valves in closing order, who is without water, and a sketch of the closed part."""

from __future__ import annotations

from html import escape
from pathlib import Path

from gis.cli import outage_map

_CSS = """
@page { size: A4; margin: 16mm }
body { font: 11pt "Noto Sans CJK SC", "Source Han Sans SC", "WenQuanYi Zen Hei", "Microsoft YaHei", sans-serif;
  color: #1c2733; max-width: 180mm; margin: auto }
h1 { font-size: 18pt; margin: 0 0 2mm } h2 { font-size: 12pt; margin: 5mm 0 1mm; border-bottom: 1px solid #9aa7b3 }
table { border-collapse: collapse; width: 100% }
td, th { text-align: left; padding: 1mm 2mm; border-bottom: 1px solid #dfe5ea; vertical-align: top }
.no { color: #c62828; font-weight: bold }
svg { width: 100%; max-height: 110mm; border: 1px solid #dfe5ea } ol { columns: 2 }
.legend span { margin-right: 5mm } .legend i { display: inline-block; margin-right: 1.5mm; vertical-align: middle }
"""


def html(answer: dict) -> str:
    """The sheet as one HTML page without any outside address."""
    dry, valves = answer["affected"], answer["valves"]
    burst = "，".join(f"{k} {v}" for k, v in answer["burst"].items() if k not in ("lon", "lat"))
    isolated = (
        "可以隔离"
        if answer["isolated"]
        else f'<span class="no">不能只靠阀门隔离，须停水源：{_list(answer["sources_to_shut"])}</span>'
    )
    rows = {
        "爆管位置": escape(burst), "隔离": isolated,
        "停水管段": f"{len(dry['pipes'])} 段，{dry['length_m']:,.0f} m，需排水约 {dry['volume_m3']:,.1f} m³",
        "停水用户": f"{dry['customers']} 户，{len(dry['doorplates'])} 个门牌",
        "意外停水": f"{len(answer['unintended']['pipes'])} 段，{answer['unintended']['customers']} 户",
        "同时断水": _list(answer["also_cut"]["pipes"]),
        "重点用户": _list([f"{p['priority']} {p['connection']}" for p in dry["priority"]]),
        "失效消火栓": _list(dry["hydrants"]),
        "另可关闭（防倒流）": _list(valves["optional"]),
        "已关闭，请核对": _list(valves["already_closed"]), "关不动": _list(valves["stuck"]),
        "可开启的联络阀": _list(answer["feeds_to_open"]),
    }  # fmt: skip
    table = "".join(f"<tr><th>{name}</th><td>{value}</td></tr>" for name, value in rows.items())
    order = "".join(f"<li>{escape(v)}</li>" for v in valves["close"]) or "<li>无</li>"
    plates = "".join(f"<li>{escape(p['address'] or p['id'])}</li>" for p in answer.get("doorplate_list", ()))
    listed = f"<h2>停水门牌</h2><ol>{plates}</ol>" if plates else ""
    notes = "".join(f"<li>{escape(f['code'])} {escape(f['message'])}（{f['n']}）</li>" for f in answer["findings"])
    noted = f"<h2>注意</h2><ul>{notes}</ul>" if notes else ""
    foot = f"管网 {escape(answer['network'])}，数据版本 {escape(answer['data_version'])}，{escape(answer['as_of'])}"
    return (
        f'<!doctype html><html lang="zh"><meta charset="utf-8"><title>爆管关阀单</title><style>{_CSS}</style>'
        f"<h1>爆管关阀单</h1><p>{foot}</p>"
        f"<h2>按此顺序关闭</h2><ol>{order}</ol>{outage_map.svg(answer['features'])}<table>{table}</table>{listed}{noted}</html>"
    )


def write_pdf(page: str, out: Path) -> None:
    """The page as PDF."""
    from weasyprint import HTML

    HTML(string=page).write_pdf(out)


def _list(ids: list[str], most: int = 60) -> str:
    more = f" … 共 {len(ids)}" if len(ids) > most else ""
    return escape("，".join(ids[:most])) + more or "无"
