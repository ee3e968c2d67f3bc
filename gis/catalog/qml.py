"""The visitor for QGIS: a QML style per layer with renderer, labels, Chinese aliases and the code lists as value maps."""

from __future__ import annotations

from xml.etree import ElementTree as Xml

from gis.catalog.model import Column, Layer
from gis.standards import codes

QGIS_VERSION = "3.28.0"
DOCTYPE = "<!DOCTYPE qgis PUBLIC 'http://mrcc.com/qgis.dtd' 'SYSTEM'>\n"
GEOMETRY = {0: ("marker", "SimpleMarker", 0), 1: ("line", "SimpleLine", 1), 2: ("fill", "SimpleFill", 2)}
"""By dimension: type of symbol, class of its layer, `layerGeometryType`."""
USED = "0"


def style(layer: Layer) -> str:
    """The QML document of a vector layer, for QGIS 3.28 and newer. Raises ValueError for a raster layer."""
    if layer.is_raster:
        raise ValueError(f"{layer.id} is a raster layer")
    root = Xml.Element("qgis", version=QGIS_VERSION, styleCategories="AllStyleCategories", labelsEnabled=_flag(layer.style.label))
    root.append(_renderer(layer))
    if layer.style.label:
        root.append(_labeling(layer))
    root.append(_fields(layer))
    _aliases(root, layer)
    Xml.SubElement(root, "previewExpression").text = f'"{layer.style.label or layer.key[-1]}"'
    Xml.SubElement(root, "layerGeometryType").text = str(GEOMETRY[layer.dimension][2])
    Xml.indent(root, " ")
    return DOCTYPE + Xml.tostring(root, encoding="unicode") + "\n"


# --- renderer ---------------------------------------------------------------------------------------------------------


def _renderer(layer: Layer) -> Xml.Element:
    if "status" in layer.fields and layer.dimension == 1:
        return _by_status(layer)
    if layer.style.by and layer.style.cases:
        return _by_class(layer)
    renderer = Xml.Element("renderer-v2", type="singleSymbol", symbollevels="0", enableorderby="0", forceraster="0")
    Xml.SubElement(renderer, "symbols").append(_symbol(layer, "0", layer.style.color))
    return renderer


def _by_class(layer: Layer) -> Xml.Element:
    renderer = Xml.Element(
        "renderer-v2", type="categorizedSymbol", attr=layer.style.by, symbollevels="0", enableorderby="0", forceraster="0"
    )
    categories, symbols = Xml.SubElement(renderer, "categories"), Xml.SubElement(renderer, "symbols")
    known = codes(layer.columns[layer.style.by].codes) if layer.columns[layer.style.by].codes else None
    for i, case in enumerate(layer.style.cases):
        value = str(case.value)
        title = case.title.zh if case.title else (known.title_of(value) if known else value)
        Xml.SubElement(categories, "category", render="true", symbol=str(i), value=value, type="string", label=title)
        symbols.append(_symbol(layer, str(i), case.color, case.width))
    other = str(len(layer.style.cases))
    Xml.SubElement(categories, "category", render="true", symbol=other, value="", type="string", label="其他")
    symbols.append(_symbol(layer, other, layer.style.color))
    return renderer


def _by_status(layer: Layer) -> Xml.Element:
    """Pipes in use as they are, others dashed (CJJ 61-2017 table C.0.3)."""
    renderer = Xml.Element("renderer-v2", type="RuleRenderer", symbollevels="0", enableorderby="0", forceraster="0")
    rules, symbols = Xml.SubElement(renderer, "rules", key="root"), Xml.SubElement(renderer, "symbols")
    wanted = (("在用", f'"status" = \'{USED}\' OR "status" IS NULL', ()), ("废弃、空管及其他", "ELSE", (3.0, 2.0)))
    for i, (label, condition, dash) in enumerate(wanted):
        Xml.SubElement(rules, "rule", key=f"{layer.id}-{i}", symbol=str(i), label=label, filter=condition)
        symbols.append(_symbol(layer, str(i), layer.style.color, dash=dash))
    return renderer


def _symbol(layer: Layer, number: str, color: str, times: float = 1.0, dash: tuple[float, ...] = ()) -> Xml.Element:
    kind, layer_class, _ = GEOMETRY[layer.dimension]
    alpha = layer.style.opacity if layer.dimension != 2 else 1
    symbol = Xml.Element("symbol", type=kind, name=number, alpha=f"{alpha:g}", clip_to_extent="1", force_rhr="0")
    inner = Xml.SubElement(symbol, "layer", {"class": layer_class, "enabled": "1", "locked": "0", "pass": "0"})
    options = Xml.SubElement(inner, "Option", type="Map")
    for name, value in (_marker, _line, _fill)[layer.dimension](layer, color, times, dash).items():
        Xml.SubElement(options, "Option", name=name, type="QString", value=value)
    if layer.dimension == 1 and "diameter_mm" in layer.fields:
        inner.append(_data_defined_width(layer))
    return symbol


def _marker(layer: Layer, color: str, times: float, dash) -> dict[str, str]:
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


def _line(layer: Layer, color: str, times: float, dash) -> dict[str, str]:
    pattern = dash or layer.style.dash
    return {
        "line_color": _rgba(color),
        "line_style": "solid",
        "line_width": f"{layer.style.width * times * 0.3:g}",
        "line_width_unit": "MM",
        "capstyle": "flat" if pattern else "round",
        "joinstyle": "round",
        **({"use_custom_dash": "1", "customdash": ";".join(f"{p:g}" for p in pattern), "customdash_unit": "MM"} if pattern else {}),
    }


def _fill(layer: Layer, color: str, times: float, dash) -> dict[str, str]:
    style = layer.style
    return {
        "color": _rgba(color, style.opacity),
        "style": "solid",
        "outline_color": _rgba(style.outline or color),
        "outline_style": "dash" if style.dash else "solid",
        "outline_width": f"{style.width * 0.2:g}",
        "outline_width_unit": "MM",
    }


def _data_defined_width(layer: Layer) -> Xml.Element:
    """Wider pipes are drawn wider: 0.55 times at DN50 to 2.5 times at DN1200."""
    expression = f'{layer.style.width * 0.3:g} * scale_linear(coalesce("diameter_mm", 100), 50, 1200, 0.55, 2.5)'
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


# --- labels -----------------------------------------------------------------------------------------------------------


def _labeling(layer: Layer) -> Xml.Element:
    labeling = Xml.Element("labeling", type="simple")
    settings = Xml.SubElement(labeling, "settings", calloutType="simple")
    label = layer.style.label
    expression = "'DN' || round(\"diameter_mm\")" if label == "diameter_mm" else f'"{label}"'
    text = Xml.SubElement(
        settings, "text-style", fieldName=expression, isExpression="1", fontFamily="Noto Sans SC", fontSize="9", fontSizeUnit="Point",
        textColor="60,54,46,255", namedStyle="Regular",
    )  # fmt: skip
    Xml.SubElement(
        text, "text-buffer", bufferDraw="1", bufferSize="0.8", bufferSizeUnits="MM", bufferColor="255,253,248,255", bufferOpacity="1"
    )
    placement = {0: "6", 1: "3", 2: "1"}[layer.dimension]
    Xml.SubElement(settings, "placement", placement=placement, dist="1", distUnits="MM", priority="5")
    scale = round(559_082_264 / 2**layer.style.label_min_zoom)
    Xml.SubElement(settings, "rendering", scaleVisibility="1", scaleMin="0", scaleMax=str(scale), obstacle="1", drawLabels="1")
    return labeling


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
