"""Jobs over lists: every line of the source is read, loaded or rejected, whatever is wrong with it."""

import pytest

from etl import address, facility
from gis.ingest.load import Rejected

pytestmark = pytest.mark.usefixtures("store_db")

REGISTER = """地址全称,街路,门牌号,经度,纬度
府前街1号,府前街,1号,117.001,32.001
府前街2号,府前街,2号,117.002
府前街3号,府前街,3号,abc,32.003
,府前街,4号,117.004,32.004
府前街5号,府前街,5号,117.005,32.005
府前街5号,府前街,5号,117.006,32.006
"""


def test_a_register_with_broken_lines(catalog, tmp_path, query):
    path = tmp_path / "plates.csv"
    path.write_text(REGISTER, encoding="utf-8")
    with pytest.raises(Rejected):  # more than half of it is faulty
        address.load(catalog, path)
    path.write_text(REGISTER + "".join(f"人民路{n}号,人民路,{n}号,117.01,32.0{n}\n" for n in range(10, 30)), encoding="utf-8")
    result = address.load(catalog, path)
    assert {o.layer: (o.rows_read, o.rows_loaded, o.rows_rejected) for o in result.layers} == {
        "address": (26, 22, 4),
        "door_plate": (26, 22, 4),
    }
    assert query("SELECT src_row, codes FROM meta.reject r WHERE layer = 'address' AND batch = %s ORDER BY 1", result.batch) == [
        (2, ["SRC02"]), (3, ["GEO01"]), (4, ["NUL"]), (6, ["DUP"])]  # fmt: skip
    assert query("SELECT count(*) FROM meta.finding WHERE batch = %s AND code = 'TYP02' AND value LIKE '%%abc%%'", result.batch)[0][0] >= 1
    again = address.load(catalog, path)
    assert all((o.inserted, o.updated, o.retired) == (0, 0, 0) for o in again.layers)


def test_a_list_of_everything_in_a_city(catalog, tmp_path, query):
    kinds = ["小学", "餐饮服务", "购物服务", "医院", "餐饮服务", "生活服务"]
    lines = [f"设施{n},{kind},117.0{n},32.0{n}" for n, kind in enumerate(kinds, 1)]
    path = tmp_path / "poi.csv"
    path.write_text("名称,类型,经度,纬度\n" + "\n".join([*lines[:5], "断行", lines[5]]) + "\n", encoding="utf-8")
    result = facility.load(catalog, path, crs="EPSG:4490")
    assert (result.rows_read, result.rows_loaded, result.rows_rejected) == (7, 2, 5), "four in seven are shops, and that is no fault"
    assert result.findings["FAC90"] == 4 and result.findings["SRC02"] == 1 and "NUL" not in result.findings
    assert query("SELECT src_row FROM meta.reject ORDER BY 1") == [(2,), (3,), (5,), (6,), (7,)]
    message, remedy = query("SELECT message, remedy FROM meta.finding WHERE code = 'FAC90' LIMIT 1")[0]
    assert message.startswith("不是公共服务设施 / ") and " / " in remedy
    path.write_text("名称,类型,经度,纬度\n" + lines[1] + "\n", encoding="utf-8")
    with pytest.raises(Rejected):
        facility.load(catalog, path, crs="EPSG:4490")
