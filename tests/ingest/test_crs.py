"""The ground floor of space: zones, axis order, and the two Chinese offsets against their public formulas."""

import numpy as np
import pyproj
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from gis import crs
from gis.errors import InputError, SourceError

EXTENT = (116.8, 31.82, 117.2, 32.18)
china_lon = st.floats(73.5, 134.5)
china_lat = st.floats(18.5, 53.0)


def metres(lon1, lat1, lon2, lat2):
    return np.hypot((lon1 - lon2) * 111_320 * np.cos(np.radians(lat1)), (lat1 - lat2) * 110_574)


@pytest.mark.parametrize("epsg", [4490, 4491, 4502, 4513, 4534, 4548, 4554])
def test_zone_table_agrees_with_proj(epsg):
    zone = crs.zones().get(epsg)
    if zone is None:
        assert epsg == crs.STORED
        return
    easting, northing = crs.transform(float(zone.meridian), 32.0, crs.STORED, epsg)
    assert easting == pytest.approx(500_000 + (zone.number * 1_000_000 if zone.prefixed else 0), abs=1e-6)
    assert 3_540_000 < northing < 3_543_000


def test_all_zones_have_the_meridian_proj_gives_them():
    for code, zone in crs.zones().items():
        parameters = {p.name: p.value for p in crs.crs(code).coordinate_operation.params}
        assert parameters["Longitude of natural origin"] == zone.meridian, code
        assert (parameters["False easting"] > 1_000_000) == zone.prefixed, code


def test_zone_at_takes_the_nearest_meridian_and_refuses_the_rest_of_the_world():
    assert crs.zone_at(117.2).epsg == 4548
    assert crs.zone_at(117.2, width=6, prefixed=True).epsg == 4498
    with pytest.raises(InputError):
        crs.zone_at(9.5)


def test_axis_order_is_the_authoritys():
    assert crs.is_northing_easting(4490) and crs.is_northing_easting(4326) and crs.is_northing_easting(4548)
    assert not crs.is_northing_easting(3857) and not crs.is_northing_easting("CRS84")


def test_transform_is_x_before_y_for_every_crs():
    x, y = crs.transform([117.1], [31.9], 4490, 4548)
    assert 500_000 < x[0] < 520_000 and 3_500_000 < y[0] < 3_600_000
    lon, lat = crs.transform(x, y, 4548)
    assert (lon[0], lat[0]) == (pytest.approx(117.1, abs=1e-10), pytest.approx(31.9, abs=1e-10))


def test_project_keeps_z_missing_geometries_and_shape():
    pipes = np.array(
        [shapely.from_wkt("LINESTRING Z (500000 3541000 12.5, 500100 3541000 12.25)"), None, shapely.from_wkt("POINT (500000 3541000)")],
        dtype=object,
    )
    moved = crs.project(pipes, 4548)
    assert shapely.get_coordinates(moved[0], include_z=True)[:, 2].tolist() == [12.5, 12.25]
    assert moved[1] is None and not moved[2].has_z and moved[2].x == pytest.approx(117.0)


@given(china_lon, china_lat)
def test_gcj02_inverse_is_within_a_tenth_of_a_millimetre(lon, lat):
    there = crs.wgs84_to_gcj02(lon, lat)
    back = crs.gcj02_to_wgs84(*there)
    assert metres(lon, lat, *back) < 1e-4
    assert 50 < metres(lon, lat, *there) < 1_000


@given(china_lon, china_lat)
def test_bd09_inverse_is_within_a_tenth_of_a_millimetre(lon, lat):
    back = crs.bd09_to_wgs84(*crs.wgs84_to_bd09(lon, lat))
    assert metres(lon, lat, *back) < 1e-4


def test_gcj02_known_answer_and_mean_offset_in_dongying():
    # published pair of the public formula (Beijing, Tiananmen): WGS 84 39.908823, 116.397470
    lon, lat = crs.wgs84_to_gcj02(116.397470, 39.908823)
    assert (lon, lat) == (pytest.approx(116.403713, abs=1e-5), pytest.approx(39.910226, abs=1e-5))
    lons, lats = np.meshgrid(np.linspace(118.5, 118.7, 20), np.linspace(37.3, 37.5, 20))
    assert metres(lons, lats, *crs.wgs84_to_gcj02(lons, lats)).mean() == pytest.approx(521, abs=30)  # over the county, not this square


def test_outside_china_nothing_moves():
    assert crs.wgs84_to_gcj02(9.5, 47.1) == (9.5, 47.1)


def test_local_puts_the_drawing_where_it_was_asked():
    placed = crs.local(117.0, 32.0, x0=5000, y0=4000, unit_m=0.3048)
    lon, lat = crs.transform([5000, 5000 + 100 / 0.3048], [4000, 4000], placed)
    assert (lon[0], lat[0]) == (pytest.approx(117.0, abs=1e-9), pytest.approx(32.0, abs=1e-9))
    assert metres(lon[1], lat[1], 117.0, 32.0) == pytest.approx(100, rel=0.005)


@pytest.mark.parametrize("epsg", sorted(crs.zones()))
def test_every_zone_there_and_back_as_pyproj_has_it(epsg):
    zone = crs.zones()[epsg]
    reach = zone.width / 2
    lon, lat = (v.ravel() for v in np.meshgrid(np.linspace(zone.meridian - reach, zone.meridian + reach, 9), np.linspace(18, 53, 9)))
    x, y = crs.transform(lon, lat, crs.STORED, epsg)
    offset = 500_000 + zone.number * 1_000_000 * zone.prefixed
    plain = pyproj.Proj(proj="tmerc", lat_0=0, lon_0=zone.meridian, k=1, x_0=offset, y_0=0, ellps="GRS80")
    ours, theirs = np.column_stack([x, y]), np.column_stack(plain(lon, lat))
    assert np.abs(ours - theirs).max() < 1e-4  # CGCS2000 and GRS80 differ by a tenth of a millimetre in the polar radius
    back = crs.transform(x, y, epsg)
    assert metres(lon, lat, *back).max() < 1e-4
    assert (x // 1_000_000 == (zone.number if zone.prefixed else 0)).all()


@settings(deadline=None)
@given(st.floats(116.85, 117.15), st.floats(31.85, 32.15), st.sampled_from([4490, 4548, 4527, 4509, 4498, 4547, 4549]), st.booleans())
def test_a_wrong_declaration_is_answered_with_one_in_which_the_points_lie_in_the_city(lon, lat, true_crs, swap):
    x, y = crs.transform([lon] * 3, [lat] * 3, 4490, true_crs)
    x, y = (y, x) if swap else (x, y)
    truth = crs.likely_truth(x, y, 3857, EXTENT)
    name, _, turned = truth.partition(" with ")
    found = crs.transform(*((y, x) if turned else (x, y)), name)
    assert crs.inside(*found, EXTENT, 0.1).all()


SEVEN = crs.Shift((15.8, -154.4, -82.3, 0.1, 0.2, -0.3, 1.5))


@settings(deadline=None)
@given(st.floats(74, 135), st.floats(18, 53))
def test_seven_parameters_are_projs_helmert(lon, lat):
    bound = crs.known_datum(4214, {"beijing54": SEVEN})
    helmert = "+step +proj=helmert +x=15.8 +y=-154.4 +z=-82.3 +rx=0.1 +ry=0.2 +rz=-0.3 +s=1.5 +convention=position_vector"
    turn = "+step +proj=unitconvert +xy_in={} +xy_out={}"
    pipe = f"+proj=pipeline {turn.format('deg', 'rad')} +step +proj=cart +ellps=krass {helmert} +step +inv +proj=cart +ellps=WGS84"
    there = pyproj.Transformer.from_pipeline(f"{pipe} {turn.format('rad', 'deg')}").transform(lon, lat, 0.0)
    assert metres(*crs.transform([lon], [lat], bound), there[0], there[1])[0] < 1e-4
    assert crs.older_datum(bound) is None and crs.older_datum(4610) == "xian80"


def test_a_grid_that_is_not_there_is_said_so():
    with pytest.raises(SourceError, match=r"nowhere\.gsb"):
        crs.known_datum(2379, {"xian80": crs.Shift(grid="/nowhere/nowhere.gsb")})


@pytest.mark.parametrize("source", [2436, 4214, 4610, 2379])
def test_old_datums_are_refused_with_the_reason(source):
    with pytest.raises(SourceError, match="parameters"):
        crs.require_known_datum(source)


def test_unknown_crs_is_the_callers_mistake():
    with pytest.raises(InputError, match="unknown coordinate reference system"):
        crs.crs("EPSG:999999")


@pytest.mark.parametrize(
    ("true_crs", "declared", "swap", "truth"),
    [
        (4548, 4548, False, None),
        (4548, 4548, True, "swapped axes"),
        (4490, 4490, True, "swapped axes"),
        (4527, 4548, False, "EPSG:4527"),
        (4548, 4490, False, "EPSG:4548"),
        (4548, 4490, True, "EPSG:4548 with swapped axes"),
    ],
)
def test_likely_truth_of_a_declared_crs_that_cannot_be(true_crs, declared, swap, truth):
    lon, lat = np.linspace(116.9, 117.1, 30), np.linspace(31.9, 32.1, 30)
    x, y = crs.transform(lon, lat, 4490, true_crs)
    if swap:
        x, y = y, x
    if true_crs == 4527:  # zone 39 = 117 E: the same numbers with the zone in front
        x = np.asarray(x)
    assert crs.likely_truth(x, y, declared, EXTENT) == truth
