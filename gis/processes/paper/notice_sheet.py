"""The outage notice (停水通知单) as one HTML page: what is posted, then the map, the sheet for the crew and the door-plates."""

from __future__ import annotations

import datetime as dt
from html import escape

from gis.analysis.outage_area import id_runs
from gis.processes.paper import outage_map
from gis.processes.paper.facts import about, drained, plates_by_community, where
from gis.standards import codes

_CSS = """
@page { size: A4; margin: 20mm 20mm 18mm; @bottom-center { content: "第 " counter(page) " 页　共 " counter(pages) " 页";
  font: 9pt "Noto Sans CJK SC", sans-serif; color: #667 } }
body { font: 11.5pt/1.75 "Noto Serif CJK SC", "Source Han Serif SC", "SimSun", "WenQuanYi Zen Hei", serif; color: #111; max-width: 175mm;
  margin: auto }
h1 { font: bold 24pt/1.3 "Noto Sans CJK SC", "SimHei", sans-serif; letter-spacing: .25em; text-align: center; color: #b3131b; margin: 0 }
.of { text-align: center; font: bold 13pt "Noto Sans CJK SC", sans-serif; color: #b3131b; margin: 0 0 1mm; letter-spacing: .1em }
.no { text-align: right; border-bottom: 2.2pt solid #b3131b; padding-bottom: 1mm; margin: 1mm 0 5mm; font-size: 10.5pt }
h2 { font: bold 13pt "Noto Sans CJK SC", "SimHei", sans-serif; margin: 6mm 0 2mm; break-after: avoid }
p { margin: 0 0 2mm; text-align: justify } .in { text-indent: 2em } .sign { text-align: right; margin-top: 8mm; line-height: 1.9 }
table { border-collapse: collapse; width: 100%; font-size: 10.5pt; line-height: 1.5 }
tr { break-inside: avoid } thead { display: table-header-group }
td, th { border: .6pt solid #555; padding: 1.1mm 2mm; text-align: left; vertical-align: top } th { background: #f3ecec; white-space: nowrap;
  font-family: "Noto Sans CJK SC", sans-serif } .n { text-align: right } .warn { color: #b3131b; font-weight: bold }
.facts th { width: 25mm } .page { break-before: page } svg { width: 100%; max-height: 140mm; border: .6pt solid #555; display: block }
.legend { font: 9.5pt "Noto Sans CJK SC", sans-serif; margin-top: 2mm } .legend span { margin-right: 5mm; white-space: nowrap }
.legend i { display: inline-block; margin-right: 1.5mm; vertical-align: middle } .plates { font-size: 10pt; line-height: 1.5;
  padding-left: 1.5em; text-indent: -1.5em; text-align: left; margin: 0 0 1mm } .small { font-size: 9.5pt; color: #445 }
"""
_HINTS = (
    "请提前储水备用，停水期间请关好水龙头和用水设备，以防来水时跑水。",
    "恢复供水之初水色可能发黄，请放水片刻，待水清后再使用。",
    "使用太阳能、热水器和二次供水水箱的用户请关闭进水阀门。",
)


def html(store, notice: dict) -> str:
    """The whole notice; nothing in it comes from outside."""
    title = "抢修停水通知" if notice["kind"] == "emergency" else "停水通知"
    return (
        f'<!doctype html><html lang="zh"><head><meta charset="utf-8"><title>{escape(notice["number"])} {title}单</title>'
        f"<style>{_CSS}</style></head><body>{_posted(notice, title)}{_map(store, notice)}{_crew(notice)}{_plates(notice)}</body></html>"
    )


def when(text: str) -> str:
    """A time as a notice says it: 2026年11月22日 08:00."""
    moment = dt.datetime.fromisoformat(text)
    return f"{moment.year}年{moment.month}月{moment.day}日 {moment:%H:%M}"


def _posted(notice: dict, title: str) -> str:
    """What hangs at the gate."""
    places = "、".join(area["community"] for area in notice["areas"]) or "见停水范围图"
    starts, ends = dt.datetime.fromisoformat(notice["starts"]), dt.datetime.fromisoformat(notice["ends"])
    hours = (ends - starts).total_seconds() / 3600
    lasts = f"（约 {hours:.0f} 小时）" if hours >= 1 else ""
    facts = {
        "停水原因": escape(notice["reason"]),
        "停水时间": f"{when(notice['starts'])} 至 {when(notice['ends'])}{lasts}",
        "停水范围": f"{escape(places)}，约 {notice['affected']['customers']} 户，{len(notice['doorplates'])} 个门牌",
        "恢复供水": f"预计 {when(notice['ends'])}，完工提前则提前恢复",
        "咨　　询": escape(notice["contact"]) or "供水服务热线",
    }  # fmt: skip
    table = "".join(f"<tr><th>{name}</th><td>{value}</td></tr>" for name, value in facts.items())
    hints = "".join(f'<p class="in">{i}. {hint}</p>' for i, hint in enumerate(_HINTS, 1))
    return (
        f'<p class="of">{escape(notice["city"])}供水</p><h1>{title}</h1><p class="no">编号：{escape(notice["number"])}</p>'
        f"<p>尊敬的用户：</p><p class='in'>因{escape(notice['reason'])}，下列区域将暂停供水。给您带来不便，敬请谅解。</p>"
        f'<table class="facts">{table}</table><h2>停水范围</h2>{_areas(notice)}<h2>温馨提示</h2>{hints}'
        f'<p class="sign">{escape(notice["city"])}供水单位（盖章）<br>{when(notice["issued"]).split(" ")[0]}</p>'
    )


def _areas(notice: dict) -> str:
    """By community: compounds with their buildings, roads with their numbers."""
    households: dict[str, int] = {}
    for customer in notice["customers"]:
        households[customer["community"]] = households.get(customer["community"], 0) + customer["customers"]
    rows = []
    for area in notice["areas"]:
        places = "；".join(f"{escape(p['name'])} {escape(p['detail'])}".strip() for p in area["places"])
        rows.append(
            f'<tr><td>{escape(area["community"])}</td><td>{places}</td><td class="n">{households.get(area["community"], "–")}</td>'
            f'<td class="n">{area["plates"]}</td></tr>'
        )
    head = "<thead><tr><th>社区（村）</th><th>小区、楼栋、门牌</th><th>户数</th><th>门牌数</th></tr></thead>"
    return f"<table>{head}{''.join(rows)}</table>" if rows else "<p>本次停水没有登记的门牌，范围见示意图。</p>"


def _map(store, notice: dict) -> str:
    drawing = outage_map.svg(store, notice["features"])
    return f'<div class="page"><h2>附图　停水范围示意图</h2>{drawing}</div>' if drawing else ""


def _crew(notice: dict) -> str:
    """Valves in closing order, feeds, priority users: for those who do the work."""
    rows = "".join(
        f'<tr><td class="n">{i}</td><td>{escape(v["id"])}</td><td>{escape(about(v))}</td><td>{escape(where(v))}</td><td></td><td></td></tr>'
        for i, v in enumerate(notice["valves"], 1)
    )
    head = "<thead><tr><th>序</th><th>阀门</th><th>类型</th><th>位置</th><th>关闭时间</th><th>开启时间</th></tr></thead>"
    sources = ""
    if not notice["isolated"]:
        sources = f'<p class="warn">只关阀门隔离不了，须同时停水源：{escape("、".join(notice["sources_to_shut"]))}</p>'
    together = f"<p>与同期作业 {'、'.join(map(str, notice['works']))} 叠加计算。</p>" if notice["works"] else ""
    feeds = "；".join(f"{v['id']}（{where(v)}）" for v in notice["feeds"]) or "无"
    dry = notice["affected"]
    return (
        f"<h2>附表一　关阀单（按此顺序关闭，恢复时先开下游并排气）</h2>{sources}{together}"
        f"<table>{head}{rows or '<tr><td colspan=6>无</td></tr>'}</table>"
        f"<p>可开启的联络阀（恢复部分供水）：{escape(feeds)}</p>"
        f"<p>停水管段 {len(dry['pipes'])} 段，{dry['length_m']:,.0f} m，需排水约 {dry['volume_m3']:,.1f} m³；"
        f"失效消火栓：{escape(id_runs(dry['hydrants'])) or '无'}（请通报消防）。</p>"
        f"{drained(notice['drain'])}{_priority(notice)}"
        f'<p class="small">管网 {escape(notice["network"])}，{escape(notice["element"])}，数据版本 {escape(notice["data_version"])}</p>'
    )


def _priority(notice: dict) -> str:
    """Who is told in person, first."""
    titles = codes("onemap.priority")
    urgent = [c for c in notice["customers"] if c["priority"] not in ("none", "")]
    if not urgent:
        return ""
    rows = "".join(
        f"<tr><td>{titles.title_of(c['priority'])}</td><td>{escape(c['name'] or '–')}</td>"
        f"<td>{escape(c['address'] or c['connection'])}</td>"
        f'<td class="n">{c["customers"]}</td><td>{escape(c["phone"] or "–")}</td><td></td></tr>'
        for c in urgent
    )
    head = "<thead><tr><th>类别</th><th>用户</th><th>地址</th><th>户数</th><th>电话</th><th>已通知</th></tr></thead>"
    return f"<h2>附表二　重点用户（先行通知）</h2><table>{head}{rows}</table>"


def _plates(notice: dict) -> str:
    """Every door-plate, by community."""
    if not notice["doorplates"]:
        return ""
    return f"<h2>附表三　停水门牌</h2>{plates_by_community(notice['doorplates'])}"
