"""The pages of the burst book as HTML for print: cover, sheets, indexes. Nothing is fetched from outside."""

from __future__ import annotations

from collections import defaultdict
from html import escape

import pandas as pd

from gis.processes.paper import book_map
from gis.processes.paper.book import Book, Entry, Page
from gis.standards import codes

FONTS = '"Noto Sans CJK SC", "Source Han Sans SC", "Noto Serif CJK SC", "WenQuanYi Zen Hei", "Microsoft YaHei", sans-serif'
PLATES_SHOWN = 24
CSS = f"""
@page {{ size: A4; margin: 15mm 12mm 14mm;
  @top-left {{ content: string(sheet); font: bold 11pt {FONTS} }}
  @top-right {{ content: string(town); font: 9pt {FONTS} }}
  @bottom-left {{ content: string(version); font: 8.5pt {FONTS} }}
  @bottom-right {{ content: string(sheet-number) " · 第 " counter(page) " 页"; font: 9pt {FONTS} }} }}
body {{ font: 10.5pt/1.35 {FONTS}; color: #000; margin: 0 }}
.sheet {{ string-set: sheet content() }} .town {{ string-set: town content() }} .version {{ string-set: version content() }}
.number {{ string-set: sheet-number content() }} .sheet, .town, .version, .number {{ font-size: 0; height: 0; margin: 0 }}
.what {{ font-size: 13pt; margin: 0 }}
.legend {{ font-size: 9pt; margin: 1.5mm 0 0 }} .tables {{ break-before: page }} .under {{ margin-top: 3mm }}
h1 {{ font-size: 26pt; margin: 4mm 0 1mm }} h2 {{ font-size: 15pt; margin: 5mm 0 1.5mm }}
.segment {{ break-inside: avoid; border: 0.5mm solid #000; margin: 0 0 3.5mm; padding: 0 }}
.head {{ border-bottom: 0.3mm solid #000; padding: 1mm 2mm; background: #eee }}
.tag {{ background: #000; color: #fff; font-weight: bold; font-size: 13pt; padding: 0 2mm; border-radius: 1mm; margin-right: 2mm }}
.street {{ font-size: 13pt; font-weight: bold }}
table {{ border-collapse: collapse; width: 100% }} .segment table td, .segment table th {{ border-bottom: 0.2mm solid #999 }}
td, th {{ text-align: left; padding: 0.7mm 1.5mm; vertical-align: top }} th {{ font-size: 9pt; font-weight: normal; color: #333 }}
.step {{ font-size: 13pt; font-weight: bold; width: 8mm; text-align: center }}
.no {{ font-weight: bold; font-size: 13pt; white-space: nowrap }} .no span {{ border: 0.3mm solid #000; padding: 0 1.2mm }}
.facts {{ padding: 1mm 2mm 1.5mm }} .facts p {{ margin: 0.5mm 0 }}
.facts b {{ display: inline-block; min-width: 17mm; font-weight: normal; color: #333 }}
.warn {{ border: 0.6mm solid #000; padding: 0.5mm 2mm; font-weight: bold; margin: 1mm 2mm }}
.index {{ columns: 2; column-gap: 8mm; font-size: 9.5pt }}
.index p {{ margin: 0 0 0.8mm; break-inside: avoid; padding-left: 4mm; text-indent: -4mm }}
.list td {{ border-bottom: 0.2mm solid #999 }} ol {{ margin: 1mm 0; padding-left: 7mm }}
"""


def document(book: Book, body: str, sheet: str, number: str) -> str:
    """A part of the book as one HTML document: its running heads carry the sheet, the network, and the version and date of the data."""
    heads = {
        "sheet": sheet, "town": f"{book.city} 爆管应急手册 · 管网 {book.network}",
        "version": f"数据版本 {book.version} · {book.day.isoformat()} 印制 · 用前核对是否为最新", "number": number,
    }  # fmt: skip
    running = "".join(f'<p class="{name}">{escape(text)}</p>' for name, text in heads.items())
    return f'<!doctype html><html lang="zh-CN"><meta charset="utf-8"><style>{CSS}</style>{running}{body}</html>'


def cover(book: Book) -> str:
    """What it is, how it is used, the sheets."""
    whole = sum(len(e.pipes) for e in book.entries.values())
    rows = "".join(
        f"<tr><td><b>图 {p.number}</b></td><td>{escape(p.title)}</td><td>{escape(p.code)}</td>"
        f"<td>S{p.entries[0]}–S{p.entries[-1]}</td></tr>"
        for p in book.pages
    )
    kind = {"grid": "网格", "zone": "供水分区"}[book.by]
    return document(book, (
        f"<h1>爆管应急手册</h1><p class='what'>{escape(book.city)} · 管网 {escape(book.network)} · 按{kind} {len(book.pages)} 图，"
        f"{len(book.entries)} 个区段，{whole} 根管</p><h2>怎么用</h2><ol>"
        "<li>在总图上找到爆管处的图号，翻到该图；或从书末<b>街道索引</b>查区段号。</li>"
        "<li>在图上找到爆管的管段：黑底白字 <b>S12</b> 是区段号。</li><li>翻到该区段的表，<b>按序</b>关阀；框内数字是图上的阀门号。</li>"
        "<li>某阀关不动：看该行末的区段号，<b>把那个区段表中的阀门也都关上</b>（关不动的那个除外），并报调度。</li></ol>"
        f"<h2>总图</h2>{book_map.overview(book)}<h2 style='break-before:page'>图目</h2>"
        f"<table class='list'><tr><th>图号</th><th>名称</th><th>编码</th><th>区段</th></tr>{rows}</table>"
    ), "爆管应急手册", "总图")  # fmt: skip


def sheet(book: Book, page: Page) -> str:
    """One sheet: the map, then the tables of its segments."""
    svg, scale = book_map.sheet(book, page)
    legend = f"1:{scale:,}　<b>S</b> 区段　框内数字 阀门　○ 开　● 关　◎ 远控　× 关不动或到不了　■ 水源　灰线 见他图"
    entries = "".join(_entry(book, book.entries[n]) for n in page.entries)
    others = "，".join(f"S{n}（图 {book.sheet_of(n)}）" for n in page.neighbours)
    more = f"<p>本图范围内另有：{others}</p>" if others else ""
    kind = "under" if len(page.entries) <= book_map.FEW else "tables"
    body = f'{svg}<p class="legend">{legend}</p><div class="{kind}">{entries}{more}</div>'
    return document(book, body, f"图 {page.number}　{page.title}", f"图 {page.number}")


def _entry(book: Book, entry: Entry) -> str:
    sizes = "/".join(f"DN{d}" for d in entry.diameters) or "管径不详"
    head = (
        f'<div class="head"><span class="tag">S{entry.number}</span><span class="street">'
        f"{escape('、'.join(entry.streets[:4]) or '无路名')}</span>　"
        f"{sizes}　{len(entry.pipes)} 根 {entry.length_m:,.0f} m　放空约 {entry.volume_m3:,.0f} m³</div>"
    )
    warn = ""
    if not entry.isolated:
        warn += f'<p class="warn">只关阀隔不断：须停水源 {escape("、".join(entry.sources))}</p>'
    if entry.stuck:
        warn += f'<p class="warn">关不动、已向外扩大：{_numbers(book, entry.stuck)}</p>'
    rows = "".join(_valve(book, v, i, behind) for i, (v, behind) in enumerate(zip(entry.close, entry.beyond, strict=True), 1))
    steps = (
        f"<table><tr><th>序</th><th>图上</th><th>编号</th><th>位置</th><th>口径</th><th>圈数</th><th>状态</th><th>关不动</th></tr>{rows}</table>"
        if rows else '<p class="facts">无需关阀：没有仍有水的阀门与它相邻。</p>'
    )  # fmt: skip
    return f'<div class="segment">{head}{warn}{steps}<div class="facts">{_facts(book, entry)}</div></div>'


def _valve(book: Book, valve: int, order: int, beyond: list[int]) -> str:
    row = book.valves.iloc[valve]
    place = next((str(row[c]) for c in ("address", "road_name") if isinstance(row[c], str)), "")
    size = f"{row['diameter_mm']:.0f}" if pd.notna(row["diameter_mm"]) else ""
    more = "，".join(_beyond(book, book.number_of[s]) for s in beyond if s in book.number_of)
    turns = f"{row['turns']:.0f}" if pd.notna(row["turns"]) and row["turns"] > 0 else ""
    return (
        f'<tr><td class="step">{order}</td><td class="no"><span>{book.valve_number[valve]}</span></td>'
        f"<td>{escape(str(row['valve_id']))}</td>"
        f"<td>{escape(place)}</td><td>{size}</td><td>{turns}</td><td>{state(row)}</td><td>{more}</td></tr>"
    )


def _beyond(book: Book, number: int) -> str:
    """The segment whose valves are closed too; where its table is in another volume, with the sheet."""
    return f"另关 S{number}" + ("" if number in book.entries else f"（图 {book.sheet_of(number)}，他册）")


def state(row) -> str:
    """What the crew meets at a valve, in words."""
    found = []
    if pd.notna(row["remote"]) and row["remote"]:
        found.append("<b>远控</b>")
    if pd.notna(row["operable"]) and not row["operable"]:
        found.append("<b>关不动</b>")
    if pd.notna(row["accessible"]) and not row["accessible"]:
        found.append("<b>到不了</b>")
    if book_map.is_closed(row):
        found.append("已关")
    kind = codes("onemap.valve_kind").title_of(row["kind"]) if isinstance(row["kind"], str) else ""
    return "，".join(found) or f"手动{escape(kind)}"


def _numbers(book: Book, valves: list[int]) -> str:
    ids = book.valves["valve_id"]
    return "，".join(f"<b style='min-width:0;font-weight:bold'>{book.valve_number[v]}</b> {escape(str(ids.iloc[v]))}" for v in valves)


def _facts(book: Book, entry: Entry) -> str:
    shown = {"停水": f"{entry.customers} 户" + (f"，失效消火栓 {entry.hydrants} 个" if entry.hydrants else "")}
    if entry.priority:
        shown["重点用户"] = f"<strong>{escape('；'.join(entry.priority))}</strong>"
    if entry.behind_pipes:
        where = f"（{escape('、'.join(entry.behind_streets[:6]))}）" if entry.behind_streets else ""
        shown["连带停水"] = f"{entry.behind_pipes} 根管，{entry.behind_customers} 户{where}"
    for name, valves in (("可另关", entry.optional), ("已关核对", entry.already_closed), ("可开联络", entry.feeds)):
        if valves:
            shown[name] = _numbers(book, valves)
    if entry.plates:
        shown["门牌"] = _plates(entry)
    shown["管段"] = escape("，".join(entry.pipes[:10])) + (f" 等 {len(entry.pipes)} 根" if len(entry.pipes) > 10 else "")
    return "".join(f"<p><b>{name}</b>{text}</p>" for name, text in shown.items())


def _plates(entry: Entry) -> str:
    parts, left = [], PLATES_SHOWN
    for road, numbers in entry.plates.items():
        if left > 0:
            more = f" 等 {len(numbers)} 个" if len(numbers) > left else ""
            parts.append(f"{escape(road)} {escape('、'.join(numbers[:left]))}{more}")
        else:
            parts.append(f"{escape(road)} {len(numbers)} 个")
        left -= len(numbers)
    return "；".join(parts)


def indexes(book: Book) -> str:
    """By street: segments and sheets. By valve: its number, the sheets, and the segments for which it is closed."""
    streets, of_valve = defaultdict(list), defaultdict(list)
    for entry in book.entries.values():
        for street in entry.streets:
            streets[street].append(entry)
        for v in dict.fromkeys((*entry.close, *entry.optional)):
            of_valve[v].append(entry)
    by_street = "".join(
        f"<p><b>{escape(street)}</b>　{'，'.join(f'S{e.number}（图 {book.sheet_of(e.number)}）' for e in entries)}</p>"
        for street, entries in sorted(streets.items(), key=lambda item: item[0].encode("gb18030"))
    )
    numbered = sorted(
        (v for v in range(len(book.valve_number)) if book.valve_number[v]), key=lambda v: str(book.valves["valve_id"].iloc[v])
    )
    by_valve = "".join(
        f"<p><b>{escape(str(book.valves['valve_id'].iloc[v]))}</b>　{book.valve_number[v]} 号　"
        f"{'，'.join(f'S{e.number}（图 {book.sheet_of(e.number)}）' for e in of_valve[v]) or '核对用'}</p>"
        for v in numbered
    )
    body = f'<h2>街道索引</h2><div class="index">{by_street}</div><h2>阀门索引</h2><div class="index">{by_valve}</div>'
    return document(book, body, "索引", "索引")
