"""The acceptance report as one HTML page that opens anywhere: no script, font or picture from elsewhere."""

from __future__ import annotations

import html
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pandas as pd
import shapely

from gis.ingest.acceptance import ACCEPTED, CONDITIONAL, LEVELS, Acceptance, by_code
from gis.ingest.acceptance_map import MARKS, red_pen

FIRST = 20
"""Findings of a code that are listed; all are in the workbook."""
_HERE = Path(__file__).parent


def page(found: Acceptance) -> str:
    """The whole page, in Chinese."""
    groups = by_code(found)
    shown = _listed(found, groups)
    marked = _marked(found, shown)
    kind = {ACCEPTED: "ok", CONDITIONAL: "maybe"}.get(found.verdict, "no")
    body = [
        f"<h1>{_t(found.city)}数据成果验收报告</h1><div class='small'>批次 {found.batch['id']}</div>",
        f"<div class='verdict {kind}'>{found.verdict}</div><ul>{''.join(f'<li>{_t(r)}</li>' for r in found.reasons)}</ul>",
        "<p class='small'>精度限差按记忆整理，尚未与规程条文逐条核对。</p>" if found.unconfirmed else "",
        "<h2>一、批次</h2>", _delivery(found), "<h2>二、各图层数量</h2>", _counts(found),
        "<h2>三、问题汇总</h2>", _summary(groups), "<h2>四、红笔图</h2>", _map(found, marked),
        "<h2>五、问题清单</h2>", _list(found, groups, shown), "<h2>六、属性完整性</h2>", _completeness(found),
        "<h2>七、精度统计</h2>", _statistics(found.evidence.statistics),
    ]  # fmt: skip
    style, script = ((_HERE / f"acceptance.{kind}").read_text(encoding="utf-8") for kind in ("css", "js"))
    head = "<!DOCTYPE html><html lang='zh-CN'><head><meta charset='utf-8'><meta name='viewport' content='width=device-width'>"
    title = f"<title>验收报告 批次 {found.batch['id']}</title><style>{style}</style></head>"
    return f"{head}{title}<body>{''.join(body)}<script>{script}</script></body></html>"


def _t(value: object) -> str:
    """A value as text of the page; what is not there is empty."""
    return "" if value is None or value is pd.NA or value != value else html.escape(str(value))


def _table(titles: Iterable[str], rows: Iterable[Iterable[object]], numeric: tuple[int, ...] = ()) -> str:
    head = "".join(f"<th{' class=n' if i in numeric else ''}>{_t(t)}</th>" for i, t in enumerate(titles))
    body = "".join(
        "<tr>"
        + "".join(f"<td{' class=n' if i in numeric else ''}>{v if isinstance(v, _Made) else _t(v)}</td>" for i, v in enumerate(row))
        + "</tr>"
        for row in rows
    )
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


class _Made(str):
    """A piece of the page that is HTML already."""


def _delivery(found: Acceptance) -> str:
    batch = found.batch
    status = {"published": "已入库", "dry_run": "试入库（未改变数据）", "rejected": "整批拒收", "failed": "失败"}.get(
        batch["status"], batch["status"]
    )
    when = batch["started_at"].astimezone().strftime("%Y-%m-%d %H:%M:%S %z")
    rows = [
        ("文件", batch["source"]), ("SHA-256", batch["sha256"]), ("字节", f"{batch['bytes'] or 0:,}"), ("操作人", batch["operator"]),
        ("时间", when),
        ("方式", batch["mode"]), ("结果", status), ("说明", batch["message"]),
        ("行数", f"读取 {found.result.rows_read:,}，入库 {found.result.rows_loaded:,}，拒收 {found.result.rows_rejected:,}"),
    ]  # fmt: skip
    return _table(("项目", "内容"), [r for r in rows if r[1]])


def _counts(found: Acceptance) -> str:
    rows = [
        (found.layers[o.layer].title.zh if o.layer in found.layers else o.layer, o.scope, f"{o.rows_read:,}", f"{o.rows_loaded:,}",
         f"{o.rows_rejected:,}", f"{o.inserted:,}", f"{o.updated:,}", f"{o.retired:,}", f"{o.unchanged:,}")
        for o in found.result.layers
    ]  # fmt: skip
    return _table(("图层", "管网", "读取", "入库", "拒收", "新增", "改变", "注销", "未变"), rows, tuple(range(2, 9)))


def _summary(groups: pd.DataFrame) -> str:
    if not len(groups):
        return "<p>没有发现问题。</p>"
    rows = [
        (_level(g.level), _Made(f"<a href='#{_t(g.code)}'>{_t(g.code)}</a>"), g.title, g.layers, f"{g.n:,}", g.remedy)
        for g in groups.itertuples()
    ]
    return _table(("级别", "代码", "问题", "图层", "数量", "处理建议"), rows, (4,))


def _level(level: str) -> _Made:
    return _Made(f"<span class='{level}'>{LEVELS[level]}</span>")


def _listed(found: Acceptance, groups: pd.DataFrame) -> dict[str, np.ndarray]:
    """Code → positions of the findings that are listed."""
    if not len(groups):
        return {}
    return {code: rows[:FIRST] for code, rows in found.findings.groupby("code", sort=False).indices.items()}


def _marked(found: Acceptance, shown: dict[str, np.ndarray]) -> list[int]:
    """The findings that the map marks: those that are listed, and more of the gravest, as far as they have a place."""
    placed = np.isfinite(shapely.bounds(found.findings.geometry.to_numpy())).all(axis=1)  # not where it is missing, empty or no number
    wanted = [i for rows in shown.values() for i in rows if placed[i]][:MARKS]
    known = set(wanted)
    more = (i for i in np.flatnonzero(placed & (found.findings["level"] != "info").to_numpy()) if i not in known)
    return sorted([*wanted, *(i for i, _ in zip(more, range(MARKS - len(wanted)), strict=False))])


def _map(found: Acceptance, marked: list[int]) -> str:
    drawing = red_pen(found, marked)
    if not drawing:
        return "<p>没有可以画在图上的数据。</p>"
    placed = int((~shapely.is_missing(found.findings.geometry.to_numpy())).sum())
    note = (
        f"图上标出 {len(marked)} 处，有位置的问题共 {placed:,} 处；编号与问题清单、Excel、GeoPackage 一致。滚轮缩放，拖动平移，双击还原。"
    )
    return f"<p class='small'>{note}</p>{drawing}"


def _list(found: Acceptance, groups: pd.DataFrame, shown: dict[str, np.ndarray]) -> str:
    parts = []
    for group in groups.itertuples():
        rows = found.findings.iloc[shown[group.code]]
        of = {k: v.title.zh for k, v in found.layers.items()}
        total = int((found.findings["code"] == group.code).sum())
        more = f"（共 {total:,} 条，列出前 {len(rows)} 条，其余见 acceptance.xlsx）" if total > len(rows) else ""
        parts.append(f"<h3 id='{_t(group.code)}'>{_level(group.level)} {_t(group.code)} {_t(group.title)}{more}</h3>")
        parts.append(_table(
            ("编号", "图层", "行号", "要素编号", "字段", "值", "说明"),
            [(r.number, of.get(r.layer, r.layer), r.src_row, r.key, _field(found, r.layer, r.field), r.value, r.message) for r in
            rows.itertuples()],
            (0, 2),
        ))  # fmt: skip
    return "".join(parts) or "<p>没有发现问题。</p>"


def _field(found: Acceptance, layer: str, name: str | None) -> str | None:
    if name is None or layer not in found.layers:
        return name
    column = found.layers[layer].columns.get(name)
    return name if column is None else column.title.zh


def _completeness(found: Acceptance) -> str:
    if not found.filled:
        return "<p>没有统计。</p>"
    rows = []
    for one in found.filled:
        layer = found.layers.get(one.layer)
        least = found.limits.least(one.layer, one.field)
        if one.filled in (0, one.total) and least is None and not one.required:
            continue  # all or nothing says little: the workbook has every attribute
        low = "low" if one.share < (least if least is not None else (1.0 if one.required else 0.0)) else ""
        bar = _Made(f"<span class='track'><i class='{low}' style='width:{one.share * 100:.1f}%'></i></span> {one.share:.1%}")
        title = layer.columns[one.field].title.zh if layer else one.field
        needed = "必填" if one.required else ("" if least is None else f"≥ {least:.0%}")
        rows.append((layer.title.zh if layer else one.layer, title, one.field, f"{one.filled:,}", f"{one.total:,}", bar, needed))
    note = "<p class='small'>列出必填的、有要求的和填写不全的属性；全部属性见 acceptance.xlsx。</p>"
    return note + _table(("图层", "属性", "字段", "已填", "总数", "填写率", "要求"), rows, (3, 4))


def _statistics(figures: list[dict]) -> str:
    if not figures:
        return "<p>本批没有可以统计精度的数据（没有高程闭合、重复测量等）。</p>"
    rows = [
        (f["name"], f"{f['n']:,}", f"{f['mean']:.4f}", f"{f['rms']:.4f}", f"{f['max']:.4f}", f"{f['limit']:g}", f"{f['beyond']:,}",
         {True: "符合", False: "超限", None: ""}[f["kept"]])
        for f in figures
    ]  # fmt: skip
    note = "<p class='small'>单位米。重复测量的中误差按 √(Σd²/2n) 计算；其他各项按单个差值检查。</p>"
    return note + _table(("项目", "个数", "平均", "中误差", "最大", "限差", "超限个数", "结论"), rows, (1, 2, 3, 4, 5, 6))
