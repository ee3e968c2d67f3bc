"""A burst on paper (爆管关阀单): the valves in closing order with where they are, the map, who is without water, where to drain."""

from __future__ import annotations

from html import escape

from gis.analysis.outage_area import id_runs
from gis.processes.paper import facts, outage_map
from gis.standards import codes

_CSS = """
@page { size: A4; margin: 16mm 18mm; @bottom-right { content: counter(page) " / " counter(pages);
  font: 9pt "Noto Sans CJK SC", sans-serif } }
body { font: 11pt/1.45 "Noto Sans CJK SC", "Source Han Sans SC", "WenQuanYi Zen Hei", "Microsoft YaHei", sans-serif;
  color: #1c2733; max-width: 175mm; margin: auto }
h1 { font-size: 18pt; margin: 0 0 1mm } h2 { font-size: 12.5pt; margin: 5mm 0 1mm; border-bottom: 1px solid #9aa7b3; break-after: avoid }
h3 { font-size: 11pt; margin: 2mm 0 .5mm; break-after: avoid } p { margin: 0 0 1.5mm }
table { border-collapse: collapse; width: 100% } tr { break-inside: avoid }
td, th { text-align: left; padding: 1mm 2mm; border-bottom: 1px solid #dfe5ea; vertical-align: top } .facts th { width: 30mm }
.step { font-size: 14pt; font-weight: bold; width: 9mm } .done { width: 22mm; border: 1px solid #9aa7b3 }
.no { color: #c62828; font-weight: bold } svg { width: 100%; height: auto }
.legend { font-size: 9.5pt } .legend span { margin-right: 5mm; white-space: nowrap }
.legend i { display: inline-block; margin-right: 1.5mm; vertical-align: middle }
.plates { font-size: 10pt; padding-left: 1.5em; text-indent: -1.5em }
"""


def html(store, answer: dict) -> str:
    """The sheet of a burst's answer (with its features) as one HTML page without any outside address."""
    plates = facts.listed(facts.plates(store, answer["affected"]["doorplates"]))
    listed = f"<h2>停水门牌（{len(plates)} 个）</h2>{facts.plates_by_community(plates)}" if plates else ""
    notes = "".join(
        f"<li>{escape(f['code'])} {escape(f.get('message_zh') or f['message'])}（{f['n']}：{escape('、'.join(f['ids'][:6]))}）</li>"
        for f in answer["findings"]
    )
    noted = f"<h2>注意：数据中影响结果的问题</h2><ul>{notes}</ul>" if notes else ""
    city, network, version = (escape(text) for text in (store.catalog.city.name.zh, answer["network"], answer["data_version"]))
    foot = f"{city}　管网 {network}，数据版本 {version}，{answer['as_of']}"
    return (
        f'<!doctype html><html lang="zh-CN"><head><meta charset="utf-8"><title>爆管关阀单</title><style>{_CSS}</style></head><body>'
        f"<h1>爆管关阀单</h1><p>{foot}</p>{_steps(store, answer)}{outage_map.svg(store, answer['features'])}"
        f"{_facts(answer)}{facts.drained(answer.get('drain'))}{noted}{listed}</body></html>"
    )


def _steps(store, answer: dict) -> str:
    """What is done first: valves in their order, sources where valves do not do."""
    wanted = answer["valves"]["close"]
    known = facts.valves(store, answer["network"], wanted)
    rows = "".join(
        f'<tr><td class="step">{i}</td><td><b>{escape(v)}</b></td><td>{escape(facts.where(known[v]))}</td>'
        f'<td>{escape(facts.about(known[v]))}</td><td class="done"></td></tr>'
        for i, v in enumerate(wanted, 1)
    )
    head = "<tr><th>序</th><th>阀门</th><th>位置</th><th>类型</th><th>关闭时间</th></tr>"
    shut = ""
    if not answer["isolated"]:
        shut = f'<p class="no">不能只靠阀门隔离，须停水源：{escape("、".join(answer["sources_to_shut"]))}</p>'
    return f"<h2>按此顺序关闭</h2>{shut}<table>{head}{rows or '<tr><td colspan=5>没有需要关闭的阀门</td></tr>'}</table>"


def _facts(answer: dict) -> str:
    dry, valves = answer["affected"], answer["valves"]
    titles = codes("onemap.priority")
    burst = "，".join(f"{k} {v}" for k, v in answer["burst"].items() if k not in ("lon", "lat"))
    also, behind = answer["also_cut"], answer["unintended"]
    rows = {
        "爆管位置": burst, "停水管段": f"{len(dry['pipes'])} 段，{dry['length_m']:,.0f} m，需排水约 {dry['volume_m3']:,.1f} m³",
        "停水用户": f"{dry['customers']} 户，{len(dry['doorplates'])} 个门牌",
        "其中意外停水": f"{len(behind['pipes'])} 段，{behind['customers']} 户" if behind["pipes"] else "",
        "同时断水": f"{id_runs(also['pipes'])}，{also['customers']} 户" if also["pipes"] else "",
        "重点用户": "；".join(f"{titles.title_of(p['priority'])} {p['connection']}（{p['customers']} 户）" for p in dry["priority"]),
        "失效消火栓": id_runs(dry["hydrants"]), "另可关闭（防倒流）": id_runs(valves["optional"]),
        "已关闭，请核对": id_runs(valves["already_closed"]), "关不动": id_runs(valves["stuck"]),
        "二次关阀增加": _added(answer.get("added")),
        "可开启的联络阀": id_runs(answer["feeds_to_open"]),
    }  # fmt: skip
    table = "".join(f"<tr><th>{name}</th><td>{escape(value)}</td></tr>" for name, value in rows.items() if value)
    return f'<table class="facts">{table}</table>'


def _added(added: dict | None) -> str:
    if not added:
        return ""
    return f"阀门 {id_runs(added['valves']) or '无'}；{len(added['pipes'])} 段管，{added['customers']} 户"
