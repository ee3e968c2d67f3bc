"""The checks of geometry: what its type and the city's extent imply (`gis.catalog.checks` lists the codes)."""

from __future__ import annotations

import shapely
import shapely.affinity

from gis.catalog.model import City, Layer, Text

SHAPES = ("POINT", "LINESTRING", "MULTIPOLYGON")
"""The stored type by dimension; a delivery's single polygons become multi-polygons when they are mapped."""


def of(layer: Layer, city: City, check: type) -> list:
    """The geometry checks of a layer, as objects of `check` (`gis.catalog.checks.RowCheck`)."""
    west, south, east, north = city.extent
    extent = f"ST_MakeEnvelope({west}, {south}, {east}, {north}, 4490)"
    there, number = "NOT ST_IsEmpty(s.geom)", f"ST_Dimension(s.geom) = {layer.dimension}"
    size = ("ST_X(s.geom) + ST_Y(s.geom)", "ST_Length(s.geom)", "ST_Perimeter(s.geom)")[layer.dimension]
    nan = f"({size})::text IN ('NaN', 'Infinity', '-Infinity')"
    if layer.dimension == 0:
        nan = f"CASE WHEN GeometryType(s.geom) = 'POINT' AND {there} THEN {nan} ELSE false END"
    whole = f"{there} AND NOT ({nan})"
    outside, turned = f"NOT s.geom && {extent}", f"ST_FlipCoordinates(s.geom) && {extent}"
    made = [
        ("GEO01", "error", "s.geom IS NULL OR ST_IsEmpty(s.geom)", "没有几何", "no geometry", "补充坐标", "Give the position"),
        ("GEO02", "error", f"{there} AND GeometryType(s.geom) <> '{SHAPES[layer.dimension]}'", "几何类型不符",
         f"the geometry is no {layer.geometry}", "按几何类型分图层提交", "Deliver it in a layer of its own type"),
        ("GEO03", "error", nan, "坐标不是数或为无穷大", "a coordinate is no number, or infinite", "改正坐标", "Correct the coordinates"),
        ("GEO04", "error", f"{whole} AND {outside} AND NOT {turned}", "不在本市范围内", "outside the city",
         "核对坐标系、带号与中央子午线", "Check the CRS, its zone and central meridian"),
        ("GEO07", "error", f"{whole} AND {outside} AND {turned}", "坐标轴颠倒", "the axes are exchanged",
         "交换 X 与 Y（测量 X 为北、Y 为东）", "Exchange X and Y (in surveying X is northing)"),
    ]  # fmt: skip
    if layer.dimension == 1:
        made.append(("GEO06", "error", f"{number} AND {there} AND ST_Length(s.geom) = 0", "线长为零", "a line without length",
                     "补画或删除", "Draw it or remove it"))  # fmt: skip
    if layer.dimension == 2:
        made.append(("GEO05", "error", f"{number} AND {whole} AND NOT ST_IsValid(s.geom)", "面自相交或不闭合",
                     "the polygon crosses itself or is not closed", "修复后再提交", "Mend the polygon"))  # fmt: skip
    if layer.dimension:
        inside = f"{number} AND {whole} AND s.geom && {extent} AND NOT s.geom @ {extent}"
        made.append(("GEO08", "warning", inside, "部分超出本市范围", "partly outside the city",
                     "核对位置与本市范围", "Check the position and the city's extent"))  # fmt: skip
    bad = counterexamples(layer, city)
    return [
        check(code, level, sql, "geom", Text(zh=zh, en=en), Text(zh=do_zh, en=do_en), {"geometry": bad[code]})
        for code, level, sql, zh, en, do_zh, do_en in made
    ]


def counterexamples(layer: Layer, city: City) -> dict[str, str | None]:
    """A bad geometry (WKT) for each code, made from the layer's good one."""
    good = shapely.from_wkt(layer.example["geometry"])
    x, y = city.center
    east = city.extent[2]
    line = f"LINESTRING Z ({x} {y} 0, {x + 0.001} {y} 0)"
    over = [(east - 0.0005, y), (east + 0.0005, y)]
    return {
        "GEO01": None,
        "GEO02": line if layer.dimension == 0 else f"POINT Z ({x} {y} 0)",
        "GEO03": (
            f"POINT Z (NaN {y} 0)",
            f"LINESTRING Z ({x} {y} 0, NaN {y} 0)",
            f"MULTIPOLYGON ((({x} {y}, {x + 0.001} {y}, NaN {y + 0.001}, {x} {y})))",
        )[layer.dimension],
        "GEO04": shapely.affinity.translate(good, xoff=10).wkt,
        "GEO05": f"MULTIPOLYGON ((({x} {y}, {x + 0.001} {y + 0.001}, {x + 0.001} {y}, {x} {y + 0.001}, {x} {y})))",
        "GEO06": f"LINESTRING Z ({x} {y} 0, {x} {y} 0)",
        "GEO07": shapely.transform(good, lambda c: c[:, [1, 0, *range(2, c.shape[1])]], include_z=good.has_z).wkt,
        "GEO08": (
            shapely.LineString(over).wkt if layer.dimension == 1
            else shapely.MultiPolygon([shapely.box(east - 0.0005, y, east + 0.0005, y + 0.001)]).wkt
        ),
    }  # fmt: skip
