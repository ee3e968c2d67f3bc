"""The visitor that writes the documentation: one page per layer and an index, in Chinese with English beside it."""

from __future__ import annotations

from collections.abc import Iterable

from gis import standards
from gis.catalog import checks
from gis.catalog.model import GROUPS, Catalog, Column, Layer

NOTE = "<!-- Rendered by `onemap layers render` from the layer files: change those, not this. -->\n"
GEOMETRY = {
    "Point": "点", "PointZ": "点（三维）", "LineString": "线", "LineStringZ": "线（三维）", "MultiPolygon": "面",
    "MultiPolygonZ": "面（三维）", "Raster": "栅格",
}  # fmt: skip
TYPES = {
    "text": "文字 text", "code": "代码 code", "int": "整数 int", "real": "实数 real", "bool": "是否 bool", "date": "日期 date",
    "timestamp": "时间 timestamp", "texts": "多个文字 texts",
}  # fmt: skip
LEVELS = {"info": "提示 info", "warning": "警告 warning", "error": "错误 error", "fatal": "拒收 fatal"}
ROLES = {
    "anonymous": "公众", "planner": "规划", "water": "供水", "drainage": "排水", "gas": "燃气", "heat": "热力", "power": "电力",
    "telecom": "通信", "address": "地址", "admin": "管理员", "security": "安全管理员", "auditor": "审计员",
}  # fmt: skip


def render(catalog: Catalog) -> dict[str, str]:
    """The pages by file name, to be put into `docs/layers/`."""
    return {"README.md": index(catalog)} | {f"{layer.id}.md": page(layer, catalog) for layer in catalog.layers.values()}


def index(catalog: Catalog) -> str:
    """The list of all layers by group."""
    lines = [NOTE, "# 图层目录 Layers\n", f"{catalog.city.name.zh}（{catalog.city.code}）共 {len(catalog.layers)} 个图层。"]
    lines.append("每个图层由 `layers/<组>/<图层>.yaml` 一个文件定义，本目录由它们生成。\n")
    lines.append("Each layer is defined by one file, `layers/<group>/<id>.yaml`, from which these pages are made.")
    for group, title in GROUPS.items():
        lines.append(f"\n## {title.zh} {title.en}\n")
        rows = [
            (f"[{layer.title.zh}]({layer.id}.md)", layer.title.en, f"`{layer.id}`", GEOMETRY[layer.geometry], layer.access.label)
            for layer in catalog.layers.values() if layer.group == group
        ]  # fmt: skip
        lines += _table(("图层", "Layer", "标识 id", "几何 geometry", "密级 label"), rows)
    lines += ["\n## 通用检查 Checks that every layer has\n", *_platform_checks(catalog)]
    return "\n".join(lines) + "\n"


def page(layer: Layer, catalog: Catalog) -> str:
    """The page of one layer: what it is, its fields and code lists, its checks, who may do what."""
    lines = [NOTE, f"# {layer.title.zh} {layer.title.en}\n", f"{layer.description.zh}。\n", f"{layer.description.en}.\n", *_facts(layer)]
    if not layer.is_raster:
        lines += ["\n## 字段 Fields\n", *_fields(layer), *_code_lists(layer), *_checks(layer, catalog)]
    return "\n".join([*lines, *_access(layer)]) + "\n"


def _facts(layer: Layer) -> list[str]:
    rows = [
        ("标识 id", f"`{layer.id}`"),
        ("分组 group", f"{GROUPS[layer.group].zh} {GROUPS[layer.group].en}"),
        ("几何 geometry", f"{GEOMETRY[layer.geometry]} {layer.geometry}，EPSG:4490"),
        ("密级 label", layer.access.label),
    ]
    if layer.key:
        rows.insert(2, ("主键 key", ", ".join(f"`{k}`" for k in layer.key)))
        rows.append(("精度 precision", "测量级，保留 1 毫米 surveyed, 1 mm kept" if layer.survey else "制图级 mapping grade"))
        rows.append(
            ("瓦片 tiles", f"{layer.tiles.min_zoom}–{layer.tiles.max_zoom} 级：" + ", ".join(f"`{c}`" for c in layer.tiles.columns))
        )
    rows.append(("交付文件 delivered as", ", ".join(f"`{f}`" for f in layer.source.files) or "—"))
    return _table(("项目", "内容"), rows)


def _fields(layer: Layer) -> list[str]:
    rows = []
    for name, column in layer.columns.items():
        required = "必填 required" if column.required else ""
        about = [column.description.zh, column.description.en] if column.description else []
        about += [f"引用 refers to `{column.references}`"] if column.references else []
        about += [f"缺省 default `{column.default}`"] if column.default is not None else []
        source = "、".join(column.source) or "—"
        rows.append((
            f"`{name}`", f"{column.title.zh}<br>{column.title.en}", TYPES[column.type], column.unit or "", _range(column), required, source,
            "<br>".join(about),
        ))  # fmt: skip
    return _table(("字段", "名称 title", "类型 type", "单位 unit", "取值 values", "", "交付名称 names in deliveries", "说明"), rows)


def values(column: Column) -> str:
    """What a field may hold, in a few characters: its code list, range, form or length."""
    if column.codes:
        return column.codes
    if column.min is not None or column.max is not None:
        return "…".join("" if v is None else checks.plain(v) for v in (column.min, column.max))
    return column.pattern or (f"≤ {column.max_length} 字" if column.type in ("text", "texts") else "")


def _range(column: Column) -> str:
    if column.codes:
        return f"[{column.codes}](#{column.codes.replace('.', '')})"
    return f"`{column.pattern}`".replace("|", "\\|") if column.pattern else values(column)


def _code_lists(layer: Layer) -> list[str]:
    lines = []
    for list_id in dict.fromkeys(column.codes for column in layer.columns.values() if column.codes):
        known = standards.codes(list_id)
        lines += [f"\n### {list_id}\n", f"{known.zh} {known.en}" + (f"（{known.source}）" if known.source else "") + "\n"]
        rows = [(f"`{e.code}`", e.zh, e.en, "、".join(e.also), _STATUS[e.status]) for e in known]
        lines += _table(("代码", "名称", "Title", "交付中的其他写法 also", "依据 status"), rows)
    return lines


_STATUS = {"V": "标准原表 standard", "P": "测量惯例 practice", "R": "待核对 to be confirmed", "O": "平台自定 own"}


def _checks(layer: Layer, catalog: Catalog) -> list[str]:
    rows = [
        (
            c.code,
            LEVELS[c.level],
            f"{c.title.zh}<br>{c.title.en}",
            f"`{rule}`".replace("|", "\\|"),
            f"{c.remedy.zh}<br>{c.remedy.en}",
            c.source or "",
        )
        for c in checks.own(layer, catalog)
        for rule in (next(" ".join(k.rule.split()) for k in layer.checks if k.code == c.code),)
    ]
    head = ["\n## 检查 Checks\n"]
    common = "另有[通用检查](README.md#通用检查-checks-that-every-layer-has)。The checks that every layer has apply as well.\n"
    return [*head, common, *(_table(("代码", "级别", "问题", "应满足 rule", "处理", "依据"), rows) if rows else [])]


def _platform_checks(catalog: Catalog) -> list[str]:
    """The derived checks, once each, as they read for the layers that have them."""
    about = {
        "NUL": ("必填字段为空", "a required field is empty"), "RNG": ("数值或日期超出范围", "a number or date is out of its range"),
        "COD": ("值不在代码表中", "a value is not in its code list"), "LEN": ("文字过长", "a text is too long"),
        "PAT": ("文字格式不对", "a text has not the form asked for"), "DUP": ("主键与前面的行重复", "the key repeats an earlier row"),
        "UNI": ("应唯一的值重复", "a value that must be unique repeats"),
        "REF": ("引用的对象不存在（可空字段为警告）", "what it refers to does not exist (a warning where the field may be empty)"),
    }  # fmt: skip
    found: dict[str, checks.RowCheck] = {}
    for layer in catalog.vectors:
        for check in checks.derived(layer, catalog):
            if check.code not in found or check.level == "error":
                found.setdefault(check.code, check)
                found[check.code] = check if check.level == "error" else found[check.code]
    rows = [
        (
            code,
            LEVELS[check.level],
            "<br>".join(about.get(code, (check.title.zh, check.title.en))),
            "" if code in about else check.remedy.zh,
        )
        for code, check in sorted(found.items())
    ]
    return _table(("代码", "级别", "问题", "处理"), rows)


def _access(layer: Layer) -> list[str]:
    access = layer.access
    rows = [("读取 read", _roles(access.read)), ("写入 write", _roles(access.write))]
    rows += [(f"字段 `{column}` 仅限 only", _roles(roles)) for column, roles in access.columns.items()]
    return ["\n## 权限 Access\n", *_table(("", "角色 roles"), rows)]


def _roles(roles: Iterable[str]) -> str:
    roles = tuple(roles)
    return "所有人 everybody" if "anonymous" in roles else "、".join(f"{ROLES[role]} {role}" for role in roles)


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> list[str]:
    return [f"| {' | '.join(head)} |", f"|{' --- |' * len(head)}", *(f"| {' | '.join(row)} |" for row in rows)]
