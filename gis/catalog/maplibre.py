"""The visitor that draws: MapLibre styles (version 8) of one layer and of the whole map, from each layer's `style`.

Colours are written as #rrggbb, so that a client can turn them for the night. Letters (`glyphs`) and signs (`sprite`) come from the
platform itself, where its address is known; nothing is named that lies elsewhere.
"""

from __future__ import annotations

from gis.catalog.model import Case, Catalog, City, Layer

TILES = "collections/{}/tiles/WebMercatorQuad/{{z}}/{{y}}/{{x}}?f=mvt"
PICTURES = TILES.replace("f=mvt", "f=png")
FONT = "Noto Sans CJK SC Regular"
"""The font of all texts; the platform answers with the Chinese font that its machine has."""
ICON_FROM = 17
"""The zoom from which points are large enough for a pictogram."""
BACKGROUND = "#f4f1ea"
INSIDE = "#f3e9dc"
"""Between the two lines of a double line."""
PAPER = "#fffdf8"
"""The halo of labels."""
USED = "0"
"""CJJ 61-2017 table C.0.3: in use; other pipes are drawn dashed and paler."""
DIAMETERS = (50, 0.55, 150, 0.8, 300, 1.1, 600, 1.5, 1200, 2.1)
"""Diameter in mm, width times."""
ZOOMS = {"line": (8, 0.25, 11, 0.5, 14, 0.95, 17, 2.0, 20, 6.0), "road": (8, 0.4, 11, 0.9, 14, 2.4, 16, 6.0, 18, 15.0, 20, 38.0)}
"""Zoom, width times: pipes and borders stay slim, roads grow with the ground."""
SIGN = 1.45
"""Height of a sign, times the radius of its point."""
POINT_ZOOMS = (10, 0.3, 14, 0.5, 16, 0.85, 18, 1.4, 21, 2.2)


def map_style(catalog: Catalog, base_url: str = "", role: str | None = None) -> dict:
    """The style of the whole map: all layers that the role may read (None: all), drawn in their order, labels above.

    base_url: the address of the platform with a closing slash; tiles are addressed under it.
    """
    layers = [la for la in catalog.layers.values() if role is None or la.readable_by(role)]
    layers.sort(key=lambda layer: (not layer.is_raster, layer.style.order))  # rasters lie under everything
    background = {"id": "background", "type": "background", "paint": {"background-color": BACKGROUND}}
    return {
        "version": 8,
        "name": f"{catalog.city.name.zh}一张图",
        "center": list(catalog.city.center),
        "zoom": catalog.city.zoom,
        **_drawn_with(base_url),
        "sources": {layer.id: source(layer, base_url, catalog.city) for layer in layers},
        "layers": [background, *(d for la in layers for d in drawing(la)), *(d for la in layers for d in labels(la))],
    }


def layer_style(layer: Layer, base_url: str = "", city: City | None = None) -> dict:
    """The style of one layer alone, shown whether or not the map opens with it."""
    drawn = [*drawing(layer), *labels(layer)]
    for one in drawn:
        one.get("layout", {}).pop("visibility", None)
    return {
        "version": 8,
        "name": layer.title.zh,
        **({"center": list(city.center), "zoom": city.zoom} if city else {}),
        **_drawn_with(base_url),
        "sources": {layer.id: source(layer, base_url, city)},
        "layers": drawn,
    }


def _drawn_with(base_url: str) -> dict:
    """Where letters and signs are; clients want whole addresses."""
    if not base_url:
        return {}
    return {"glyphs": f"{base_url}fonts/{{fontstack}}/{{range}}.pbf", "sprite": f"{base_url}sprites/onemap"}


def source(layer: Layer, base_url: str = "", city: City | None = None) -> dict:
    """Where the tiles of a layer are."""
    return {
        **({"type": "raster", "tileSize": 256} if layer.is_raster else {"type": "vector"}),
        "tiles": [base_url + (PICTURES if layer.is_raster else TILES).format(layer.id)],
        "minzoom": first_zoom(layer),
        "maxzoom": layer.tiles.max_zoom,
        **({"bounds": list(city.extent)} if city else {}),
    }


def first_zoom(layer: Layer) -> int:
    """The zoom from which the map draws a layer: there may be coarser tiles for others."""
    return max(layer.style.min_zoom or 0, layer.tiles.min_zoom)


def drawing(layer: Layer) -> list[dict]:
    """The style layers that draw the shapes, lowest first."""
    if layer.is_raster:
        return [_picture(layer)]
    make = (_points, _lines, _areas)[layer.dimension]
    return make(layer)


def _picture(layer: Layer) -> dict:
    return {
        "id": layer.id, "type": "raster", "source": layer.id, "layout": {"visibility": "visible" if layer.style.visible else "none"},
        "paint": {"raster-opacity": layer.style.opacity, "raster-fade-duration": 150},
    }  # fmt: skip


def _style_layer(layer: Layer, kind: str, part: str, paint: dict, layout: dict | None = None, where: list | None = None, **more) -> dict:
    made = {"id": f"{layer.id}{part}", "type": kind, "source": layer.id, "source-layer": layer.id, "minzoom": first_zoom(layer), **more}
    conditions = [c for c in (where, _shown(layer, text=part == "-label")) if c]
    if conditions:
        made["filter"] = conditions[0] if len(conditions) == 1 else ["all", *conditions]
    fonts = {"text-font": [FONT]} if kind == "symbol" and "text-field" in (layout or {}) else {}
    made["layout"] = fonts | dict(layout or {}) | {"visibility": "visible" if layer.style.visible else "none"}
    made["paint"] = paint
    return made


# --- expressions ------------------------------------------------------------------------------------------------------


def _column(layer: Layer) -> list:
    return ["to-string", ["get", layer.style.by]]


def _by_case(layer: Layer, value, default):
    """`value(case)` for the class of a feature, else the default."""
    cases = layer.style.cases
    if not layer.style.by or all(value(case) == default for case in cases):
        return default
    return ["match", _column(layer), *(part for case in cases for part in (str(case.value), value(case))), default]


def _color(layer: Layer):
    return _by_case(layer, lambda case: case.color, layer.style.color)


def _shown(layer: Layer, text: bool = False) -> list | None:
    """The filter that keeps a class out below its first zoom. Texts: of points one zoom later; of areas, which lie in each other,
    only those of the finest class that is drawn."""
    first = {case.value: case.min_zoom or 0 for case in layer.style.cases}
    stops = sorted({zoom for zoom in first.values() if zoom})
    if not stops:
        return None
    nested, late = text and layer.dimension == 2, 1 if text and layer.dimension == 0 else 0

    def of(zoom: float) -> list | bool:
        return _none_of(layer, lambda case: first[case.value] != zoom if nested else first[case.value] > zoom)

    return ["step", ["zoom"], of(0), *(part for zoom in stops for part in (zoom + late, of(zoom)))]


def _none_of(layer: Layer, hidden) -> list | bool:
    values = [str(case.value) for case in layer.style.cases if hidden(case)]
    return ["!", ["in", _column(layer), ["literal", values]]] if values else ["literal", True]


def _along(stops: tuple[float, ...], times, plus: float = 0) -> list:
    """Zoom stops, each times a number or expression, plus a number."""
    grown: list = ["interpolate", ["exponential", 1.5], ["zoom"]]
    for zoom, factor in zip(stops[::2], stops[1::2], strict=True):
        width = ["*", factor, times] if isinstance(times, list) else round(factor * times, 3)
        grown += [zoom, ["+", width, plus] if plus and isinstance(width, list) else (round(width + plus, 3) if plus else width)]
    return grown


def _width(layer: Layer):
    """The width of a line at zoom factor 1: by class or by diameter."""
    if "diameter_mm" in layer.tiles.columns:
        diameter = ["to-number", ["get", "diameter_mm"], 100]
        return ["*", layer.style.width, ["interpolate", ["linear"], diameter, *DIAMETERS]]
    width = _by_case(layer, lambda case: case.width, 1.0)
    return ["*", layer.style.width, width] if isinstance(width, list) else layer.style.width


# --- shapes -----------------------------------------------------------------------------------------------------------


def _lines(layer: Layer) -> list[dict]:
    style, stops = layer.style, ZOOMS["road" if layer.group == "base" else "line"]
    width, round_ends = _width(layer), {"line-cap": "round", "line-join": "round"}
    outline = style.outline or shade(style.color, 0.6)
    if layer.group == "base":  # broad roads lie over narrow ones
        round_ends["line-sort-key"] = _by_case(layer, lambda case: case.width, 1.0)
    used = ["==", ["coalesce", ["get", "status"], USED], USED] if "status" in layer.tiles.columns else None
    edge, core = (style.color, INSIDE) if style.hollow else (outline, _color(layer))
    casing = {"line-color": edge, "line-width": _along(stops, width, 2.4 if style.hollow else 1.6)}
    drawn = [
        _style_layer(layer, "line", "-casing", casing, round_ends, used),
        _style_layer(layer, "line", "", _stroke(layer, core, _along(stops, width)), round_ends, used),
    ]
    if used:
        paint = {"line-color": outline, "line-width": _along(stops, width), "line-opacity": 0.75, "line-dasharray": [2.5, 2]}
        drawn.append(_style_layer(layer, "line", "-unused", paint, {"line-join": "round"}, ["!", used]))
    return drawn


def _stroke(layer: Layer, color, width) -> dict:
    paint = {"line-color": color, "line-width": width}
    if layer.style.opacity < 1:
        paint["line-opacity"] = layer.style.opacity
    if layer.style.dash:
        paint["line-dasharray"] = list(layer.style.dash)
    return paint


def _areas(layer: Layer) -> list[dict]:
    style, first = layer.style, first_zoom(layer)
    opacity = style.opacity
    if first >= 13:  # small things come in softly
        opacity = ["interpolate", ["linear"], ["zoom"], first, style.opacity * 0.3, first + 1, style.opacity]
    drawn = [_style_layer(layer, "fill", "", {"fill-color": _color(layer), "fill-opacity": opacity})]
    if style.outline:
        paint = {"line-color": style.outline, "line-width": _along((8, 0.5, 14, 1.0, 18, 1.6), style.width)}
        if style.dash:
            paint["line-dasharray"] = list(style.dash)
        drawn.append(_style_layer(layer, "line", "-outline", paint, {"line-join": "round"}))
    return drawn


def _points(layer: Layer) -> list[dict]:
    style, color = layer.style, _color(layer)
    sized = _by_case(layer, lambda case: case.width, 1.0)
    radius = ["*", style.radius, sized] if isinstance(sized, list) else style.radius
    ring, disc = (color, "#ffffff") if style.hollow else (style.outline or "#ffffff", color)
    paint = {
        "circle-radius": _along(POINT_ZOOMS, radius),
        "circle-color": disc,
        "circle-stroke-color": ring,
        "circle-stroke-width": _along((10, 0.25, 14, 0.6, 17, 1.0, 20, 1.5), 2.0 if style.hollow else 1.2),
    }
    if style.opacity < 1:
        paint |= {"circle-opacity": style.opacity, "circle-stroke-opacity": style.opacity}
    return [_style_layer(layer, "circle", "", paint)]


# --- texts ------------------------------------------------------------------------------------------------------------


def labels(layer: Layer) -> list[dict]:
    """The style layers that write: signs in points, arrows of flow, labels."""
    made: list[dict] = []
    if layer.is_raster:
        return made
    if layer.style.icon:
        made.append(_icons(layer))
    if layer.dimension == 0 and (layer.style.symbol or any(case.symbol for case in layer.style.cases)):
        made.append(_signs(layer))
    if "invert_from_m" in layer.fields:
        made.append(_flow_arrows(layer))
    if layer.style.label:
        made.append(_labels(layer))
    return made


def _icons(layer: Layer) -> dict:
    """Pictograms in points that are drawn large enough; 24 pixels fill a point of radius 12."""
    size = _along(POINT_ZOOMS, layer.style.radius / 13)
    layout = {"icon-image": layer.style.icon, "icon-size": size, "icon-allow-overlap": True, "icon-ignore-placement": True}
    return _style_layer(layer, "symbol", "-icon", {}, layout) | {"minzoom": max(ICON_FROM, first_zoom(layer))}


def _signs(layer: Layer) -> dict:
    style = layer.style
    text = _by_case(layer, lambda case: case.symbol or style.symbol or "", style.symbol or "")
    sized = _by_case(layer, lambda case: case.width, 1.0)
    size = _along(POINT_ZOOMS, ["*", style.radius * SIGN, sized] if isinstance(sized, list) else style.radius * SIGN)
    layout = {"text-field": text, "text-size": size, "text-allow-overlap": True, "text-ignore-placement": True, "text-padding": 0}
    return _style_layer(layer, "symbol", "-sign", {"text-color": _color(layer) if style.hollow else "#ffffff"}, layout) | {
        "minzoom": max(first_zoom(layer), _readable_from(style.radius * SIGN))
    }


def _readable_from(size: float, least: float = 9.0) -> float:
    """The zoom from which a text in a point is at least 9 pixels high."""
    for zoom in (quarter / 4 for quarter in range(40, 84)):
        low = max(i for i in range(0, len(POINT_ZOOMS) - 2, 2) if POINT_ZOOMS[i] <= zoom)
        z0, f0, z1, f1 = POINT_ZOOMS[low : low + 4]
        if size * (f0 + (f1 - f0) * (zoom - z0) / (z1 - z0)) >= least:
            return zoom
    return 21


def _flow_arrows(layer: Layer) -> dict:
    """Gravity pipes are drawn in the direction of flow."""
    layout = {
        "symbol-placement": "line", "symbol-spacing": 120, "text-field": "→", "text-size": 13, "text-keep-upright": False,
        "text-padding": 0, "text-allow-overlap": True, "text-ignore-placement": True,
    }  # fmt: skip
    paint = {"text-color": layer.style.color, "text-halo-color": PAPER, "text-halo-width": 1.2}
    return _style_layer(layer, "symbol", "-flow", paint, layout) | {"minzoom": 16.5}


def _labels(layer: Layer) -> dict:
    style, column = layer.style, layer.style.label
    text: list = ["to-string", ["coalesce", ["get", column], ""]]
    if column == "diameter_mm":
        text = ["case", ["has", column], ["concat", "DN", ["to-string", ["round", ["to-number", ["get", column], 0]]]], ""]
    layout: dict = {"text-field": text, "text-size": _along((9, 10, 14, 12, 18, 15), 1.0), "text-padding": 4, "text-max-width": 7}
    if layer.dimension == 1:
        layout |= {"symbol-placement": "line", "symbol-spacing": 360, "text-letter-spacing": 0.08, "text-max-angle": 30}
    if layer.dimension == 0:
        layout |= {
            "text-variable-anchor": ["top", "bottom", "right", "left"], "text-radial-offset": 0.35 + style.radius / 11,
            "text-optional": True,
        }  # fmt: skip
    dark = "#4d473c" if layer.group == "base" and layer.dimension == 1 else shade(style.color, 0.7)
    color = _by_case(layer, lambda case: shade(case.color, 0.75), dark) if layer.dimension == 0 else dark
    paint = {"text-color": color, "text-halo-color": PAPER, "text-halo-width": 1.5}
    made = _style_layer(layer, "symbol", "-label", paint, layout) | {"minzoom": max(style.label_min_zoom, first_zoom(layer))}
    if layer.dimension == 2:  # areas are cut by tiles and would be named in each: their tiles carry one point per area
        made["source-layer"] = f"{layer.id}_label"
    return made


def shade(color: str, share: float) -> str:
    """A colour #rrggbb darkened to a share of its brightness; what is light already becomes a readable middle tone."""
    red, green, blue = (int(color[i : i + 2], 16) for i in (1, 3, 5))
    light = (0.299 * red + 0.587 * green + 0.114 * blue) / 255
    share = min(share, 0.45 / light) if light > 0.6 else share
    return "#" + "".join(f"{min(255, max(0, round(part * share))):02x}" for part in (red, green, blue))


def legend(layer: Layer) -> list[Case]:
    """The classes of a layer as the legend shows them; one without a column is the layer itself."""
    return list(layer.style.cases) or [Case(value="", color=layer.style.color, title=layer.title)]
