"""The visitor for QGIS: a QML style per layer with renderer, labels, Chinese aliases, the code lists as value maps, and valid time as
the interval of the temporal controller. `gis.catalog.qgis_project` puts the same elements into a project."""

from __future__ import annotations

from dataclasses import dataclass
from xml.etree import ElementTree as Xml

from gis.catalog.model import Column, Layer
from gis.standards import codes

QGIS_VERSION = "3.22.0"
"""The oldest that is written for: QGIS reads what an older one wrote, and warns of what a newer one did."""
DOCTYPE = "<!DOCTYPE qgis PUBLIC 'http://mrcc.com/qgis.dtd' 'SYSTEM'>\n"
GEOMETRY = {0: ("marker", "SimpleMarker", 0), 1: ("line", "SimpleLine", 1), 2: ("fill", "SimpleFill", 2)}
"""By dimension: type of symbol, class of its layer, `layerGeometryType`."""
USED = "0"
SCALE_AT_0 = 559_082_264
"""The denominator of the scale at zoom 0 (OGC 17-083r4, WebMercatorQuad: 0.28 mm pixels); it halves with each zoom."""


def style(layer: Layer) -> str:
    """The QML document of a vector layer, for QGIS 3.22 and newer. Raises ValueError for a raster layer."""
    if layer.is_raster:
        raise ValueError(f"{layer.id} is a raster layer")
    root = Xml.Element("qgis", version=QGIS_VERSION, styleCategories="AllStyleCategories", **attributes(layer))
    root.extend(elements(layer))
    Xml.SubElement(root, "layerGeometryType").text = str(GEOMETRY[layer.dimension][2])
    Xml.indent(root, " ")
    return DOCTYPE + Xml.tostring(root, encoding="unicode") + "\n"


def attributes(layer: Layer) -> dict[str, str]:
    """The attributes that a style and a layer of a project share: whether labels are drawn, and from which scale on the layer is (it is
    asked for where its tiles begin: a view of the whole city does not fetch every address)."""
    return {
        "labelsEnabled": _flag(layer.style.label),
        "hasScaleBasedVisibilityFlag": "1", "minScale": str(round(SCALE_AT_0 / 2**layer.tiles.min_zoom)), "maxScale": "0",
    }  # fmt: skip


def elements(layer: Layer) -> list[Xml.Element]:
    """The elements that a style and a layer of a project share."""
    root = Xml.Element("style")
    root.append(_renderer(layer))
    if layer.style.label:
        root.append(labeling(layer))
    root.append(_temporal())
    root.append(_fields(layer))
    _aliases(root, layer)
    Xml.SubElement(root, "previewExpression").text = f'"{layer.style.label or layer.key[-1]}"'
    return list(root)


def _temporal() -> Xml.Element:
    """In service from valid_from on, no longer from valid_to on: mode 2 is an interval from two fields, limit mode 0 leaves its end out."""
    found = Xml.Element(
        "temporal", enabled="1", mode="2", limitMode="0", startField="valid_from", endField="valid_to", durationField="",
        startExpression="", endExpression="", fixedDuration="0", durationUnit="min", accumulate="0",
    )  # fmt: skip
    fixed = Xml.SubElement(found, "fixedRange")
    Xml.SubElement(fixed, "start"), Xml.SubElement(fixed, "end")
    return found


# --- renderer ---------------------------------------------------------------------------------------------------------


def _renderer(layer: Layer) -> Xml.Element:
    by_rule = _has_status(layer)
    by_class = not by_rule and bool(layer.style.by and layer.style.cases)
    kind = "RuleRenderer" if by_rule else "categorizedSymbol" if by_class else "singleSymbol"
    renderer = Xml.Element("renderer-v2", type=kind, symbollevels=_flag(layer.dimension != 2), enableorderby="0", forceraster="0")
    found = classes(layer)
    if by_rule:
        rules = Xml.SubElement(renderer, "rules", key="root")
        for i, one in enumerate(found):
            condition = one.condition or "ELSE"
            Xml.SubElement(rules, "rule", key=f"{layer.id}-{i}", symbol=str(i), label=one.title, filter=condition)
    elif by_class:
        renderer.set("attr", layer.style.by)
        categories = Xml.SubElement(renderer, "categories")
        for i, one in enumerate(found):
            Xml.SubElement(categories, "category", render="true", symbol=str(i), value=one.value, type="string", label=one.title)
    symbols = Xml.SubElement(renderer, "symbols")
    for i, one in enumerate(found):
        one.symbol.set("name", str(i))
        for j, part in enumerate(one.symbol.findall("layer")):
            part.set("pass", str({0: _above(one, i), 1: j}.get(layer.dimension, 0)))
        symbols.append(one.symbol)
    return renderer


def _above(one: Class, number: int) -> int:
    """Points at the same place: the classes that stand later in the layer file lie above the others, as a closed valve above an open one;
    what is in no class lies below. (Lines: all edges lie under all cores, so that streets meet without bars across them.)"""
    return 0 if one.condition is None else number + 1


@dataclass(frozen=True)
class Class:
    """One class of features: its title, the value of the style's column, the condition as an expression of QGIS (None: all others), and
    how it is drawn."""

    title: str
    value: str
    condition: str | None
    symbol: Xml.Element


def classes(layer: Layer) -> list[Class]:
    """The classes in which a layer's features are drawn, those of none of the others last."""
    color = layer.style.color
    if _has_status(layer):  # pipes in use as they are, others dashed (CJJ 61-2017 table C.0.3)
        used = f'"status" = \'{USED}\' OR "status" IS NULL'
        return [
            Class("在用", USED, used, _symbol(layer, color)),
            Class("废弃、空管及其他", "", None, _symbol(layer, color, dash=(3.0, 2.0))),
        ]
    if not (layer.style.by and layer.style.cases):
        return [Class(layer.title.zh, "", None, _symbol(layer, color))]
    by = layer.style.by
    known = codes(layer.columns[by].codes) if layer.columns[by].codes else None
    found = []
    for case in layer.style.cases:
        value = str(case.value)
        title = case.title.zh if case.title else (known.title_of(value) if known else value)
        symbol = _symbol(layer, case.color, case.width, sign=case.symbol)
        found.append(Class(title, value, f'"{by}" = {_literal(case.value)}', symbol))
    return [*found, Class("其他", "", None, _symbol(layer, color))]


def _has_status(layer: Layer) -> bool:
    return "status" in layer.fields and layer.dimension == 1


def _symbol(layer: Layer, color: str, times: float = 1.0, dash: tuple[float, ...] = (), sign: str | None = None) -> Xml.Element:
    """One symbol; what lies lower in it comes first."""
    kind, drawn_as, _ = GEOMETRY[layer.dimension]
    alpha = layer.style.opacity if layer.dimension != 2 else 1
    symbol = Xml.Element("symbol", type=kind, name="0", alpha=f"{alpha:g}", clip_to_extent="1", force_rhr="0")
    style = layer.style
    if layer.dimension == 1 and not dash and (style.outline or style.hollow):  # a broad line under a slim one
        edge, core = (color, "#ffffff") if style.hollow else (style.outline, color)
        _line_part(symbol, layer, edge, times, (), plus=EDGE)
        _line_part(symbol, layer, core, times, (), plus=0)
    elif layer.dimension == 1:
        _line_part(symbol, layer, style.outline or color, times, dash, plus=0)
    else:
        _part(symbol, drawn_as, (_marker, None, _fill)[layer.dimension](layer, color, times))
    sign = sign or style.symbol
    if layer.dimension == 0 and sign:
        _part(symbol, "FontMarker", {
            "font": FONT, "chr": sign, "color": _rgba(color if style.hollow else "#ffffff"), "outline_width": "0",
            "size": f"{style.radius * times * 0.4:g}", "size_unit": "MM",
        })  # fmt: skip
    return symbol


EDGE = 0.3
"""By how many mm the line under another is broader."""
FONT = "Noto Sans CJK SC"


def _part(symbol: Xml.Element, drawn_as: str, values: dict[str, str]) -> Xml.Element:
    inner = Xml.SubElement(symbol, "layer", {"class": drawn_as, "enabled": "1", "locked": "0", "pass": "0"})
    options = Xml.SubElement(inner, "Option", type="Map")
    for name, value in values.items():
        Xml.SubElement(options, "Option", name=name, type="QString", value=value)
    return inner


def _line_part(symbol: Xml.Element, layer: Layer, color: str, times: float, dash: tuple[float, ...], plus: float) -> None:
    inner = _part(symbol, "SimpleLine", _line(layer, color, times, dash, plus))
    if "diameter_mm" in layer.fields:
        inner.append(_data_defined_width(layer, plus))


def _marker(layer: Layer, color: str, times: float) -> dict[str, str]:
    style = layer.style
    ring, disc = (color, "#ffffff") if style.hollow else (style.outline or "#ffffff", color)
    return {
        "name": "circle",
        "color": _rgba(disc),
        "outline_color": _rgba(ring),
        "outline_style": "solid",
        "outline_width": "0.5" if style.hollow else "0.3",
        "outline_width_unit": "MM",
        "size": f"{style.radius * times * 0.55:g}",
        "size_unit": "MM",
    }


def _line(layer: Layer, color: str, times: float, dash: tuple[float, ...], plus: float) -> dict[str, str]:
    pattern = dash or layer.style.dash
    return {
        "line_color": _rgba(color),
        "line_style": "solid",
        "line_width": f"{layer.style.width * times * 0.3 + plus:g}",
        "line_width_unit": "MM",
        "capstyle": "flat" if pattern else "round",
        "joinstyle": "round",
        **({"use_custom_dash": "1", "customdash": ";".join(f"{p:g}" for p in pattern), "customdash_unit": "MM"} if pattern else {}),
    }


def _fill(layer: Layer, color: str, times: float) -> dict[str, str]:
    style = layer.style
    return {
        "color": _rgba(color, style.opacity),
        "style": "solid",
        "outline_color": _rgba(style.outline or color),
        "outline_style": "dash" if style.dash else "solid",
        "outline_width": f"{style.width * 0.2:g}",
        "outline_width_unit": "MM",
    }


def _data_defined_width(layer: Layer, plus: float) -> Xml.Element:
    """Wider pipes are drawn wider: 0.55 times at DN50 to 2.5 times at DN1200."""
    expression = f'{layer.style.width * 0.3:g} * scale_linear(coalesce("diameter_mm", 100), 50, 1200, 0.55, 2.5) + {plus:g}'
    found = Xml.Element("data_defined_properties")
    outer = Xml.SubElement(found, "Option", type="Map")
    Xml.SubElement(outer, "Option", name="name", type="QString", value="")
    properties = Xml.SubElement(outer, "Option", name="properties", type="Map")
    width = Xml.SubElement(properties, "Option", name="outlineWidth", type="Map")
    Xml.SubElement(width, "Option", name="active", type="bool", value="true")
    Xml.SubElement(width, "Option", name="expression", type="QString", value=expression)
    Xml.SubElement(width, "Option", name="type", type="int", value="3")
    Xml.SubElement(outer, "Option", name="type", type="QString", value="collection")
    return found


PLACEMENT = {0: "6", 1: "3", 2: "1"}
"""By dimension: where labels stand (QgsPalLayerSettings: by cartographic preference, along curves, over the point)."""


# --- labels -----------------------------------------------------------------------------------------------------------


def labeling(layer: Layer) -> Xml.Element:
    """The labels of a layer that has some."""
    found = Xml.Element("labeling", type="simple")
    settings = Xml.SubElement(found, "settings", calloutType="simple")
    label = layer.style.label
    expression = "'DN' || round(\"diameter_mm\")" if label == "diameter_mm" else f'"{label}"'
    text = Xml.SubElement(
        settings, "text-style", fieldName=expression, isExpression="1", fontFamily=FONT, fontSize="9", fontSizeUnit="Point",
        textColor="60,54,46,255", namedStyle="Regular",
    )  # fmt: skip
    Xml.SubElement(
        text, "text-buffer", bufferDraw="1", bufferSize="0.8", bufferSizeUnits="MM", bufferColor="255,253,248,255", bufferOpacity="1"
    )
    Xml.SubElement(settings, "placement", placement=PLACEMENT[layer.dimension], placementFlags="10", dist="1", distUnits="MM", priority="5")
    scale = round(SCALE_AT_0 / 2**layer.style.label_min_zoom)
    Xml.SubElement(settings, "rendering", scaleVisibility="1", scaleMin="0", scaleMax=str(scale), obstacle="1", drawLabels="1")
    return found


# --- fields -----------------------------------------------------------------------------------------------------------


def _fields(layer: Layer) -> Xml.Element:
    configuration = Xml.Element("fieldConfiguration")
    for name, column in layer.columns.items():
        field = Xml.SubElement(configuration, "field", name=name, configurationFlags="None")
        config = Xml.SubElement(Xml.SubElement(field, "editWidget", type=_widget(column)), "config")
        options = Xml.SubElement(config, "Option", type="Map")
        if column.codes:
            entries = Xml.SubElement(options, "Option", type="List", name="map")
            for entry in codes(column.codes):
                Xml.SubElement(Xml.SubElement(entries, "Option", type="Map"), "Option", name=entry.zh, type="QString", value=entry.code)
        elif column.type == "date":
            for key, value in (("display_format", "yyyy-MM-dd"), ("field_format", "yyyy-MM-dd")):
                Xml.SubElement(options, "Option", name=key, type="QString", value=value)
    return configuration


def _widget(column: Column) -> str:
    return "ValueMap" if column.codes else {"bool": "CheckBox", "date": "DateTime"}.get(column.type, "TextEdit")


def _aliases(root: Xml.Element, layer: Layer) -> None:
    aliases, defaults = Xml.SubElement(root, "aliases"), Xml.SubElement(root, "defaults")
    constraints, rules = Xml.SubElement(root, "constraints"), Xml.SubElement(root, "constraintExpressions")
    for i, (name, column) in enumerate(layer.columns.items()):
        unit = f"（{column.unit.strip('[]{}')}）" if column.unit else ""
        Xml.SubElement(aliases, "alias", index=str(i), field=name, name=column.title.zh + unit)
        default = "" if column.default is None else _literal(column.default)
        Xml.SubElement(defaults, "default", field=name, expression=default, applyOnUpdate="0")
        Xml.SubElement(
            constraints, "constraint", field=name, constraints="1" if column.required else "0", notnull_strength=_flag(column.required),
            unique_strength="0", exp_strength=_flag(_rule(name, column)),
        )  # fmt: skip
        Xml.SubElement(
            rules, "constraint", field=name, exp=_rule(name, column), desc=f"{column.title.zh}超出范围" if _rule(name, column) else ""
        )


def _rule(name: str, column: Column) -> str:
    if column.type not in ("int", "real"):
        return ""
    parts = [f'"{name}" >= {column.min:g}'] if column.min is not None else []
    parts += [f'"{name}" <= {column.max:g}'] if column.max is not None else []
    return " AND ".join(parts)


def _literal(value) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return "'" + value.replace("'", "''") + "'" if isinstance(value, str) else str(value)


def _flag(value) -> str:
    return "1" if value else "0"


def _rgba(color: str, opacity: float = 1) -> str:
    return ",".join(str(int(color[i : i + 2], 16)) for i in (1, 3, 5)) + f",{round(opacity * 255)}"
