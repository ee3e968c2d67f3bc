"""Observations on the careful road: every fault has its code, nothing is lost, twice is once, late corrects early, back is back."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from etl import observation
from etl.city import observations as sample
from gis.cli import main as command
from gis.db.connection import owner
from gis.errors import InputError, SourceError
from gis.ingest.delivery import Rejected

HEADER = "设备编号,监测项,监测时间,数值,单位,质量\n"


@pytest.fixture
def sensors(store_db) -> None:
    """P1 and P2 measure pressure (P2 in kPa), F1 flow, Q1 quality."""
    with owner() as connection, connection.cursor() as cursor:
        for name, kind, unit in (("P1", "pressure", "MPa"), ("P2", "pressure", "kPa"), ("F1", "flow", "m3/h"), ("Q1", "quality", None)):
            cursor.execute(
                "INSERT INTO core.sensor (sensor_id, kind, unit, state, batch, recorded_from, geom)"
                " VALUES (%s, %s, %s, 'online', 0, now(), ST_SetSRID(ST_MakePoint(117, 32), 4490))",
                (name, kind, unit),
            )


def load(tmp_path: Path, rows: str, header: str = HEADER, encoding: str = "utf-8", **more):
    path = tmp_path / "监测数据.csv"
    path.write_bytes((header + rows).encode(encoding))
    return observation.load([path], **more)


def stored() -> dict[tuple[str, str, str], tuple[float, int]]:
    """(sensor, quantity, UTC time) → (value, flag)."""
    with owner() as connection, connection.cursor() as cursor:
        cursor.execute(
            "SELECT sensor_id, parameter, to_char(at AT TIME ZONE 'UTC', 'MM-DD HH24:MI'), value, quality FROM observed.value"
            " JOIN observed.series USING (series)"
        )
        return {row[:3]: row[3:] for row in cursor.fetchall()}


def counts(result) -> tuple[int, ...]:
    (one,) = result.layers
    assert one.rows_read == one.rows_loaded + one.rows_rejected
    return one.inserted, one.updated, one.unchanged, one.rows_rejected


def test_every_fault_has_its_code_and_every_row_is_loaded_or_kept(sensors, tmp_path):
    result = load(
        tmp_path,
        "P1,压力,2024-05-01 08:00,0.32,MPa,正常\n"
        "P1,,2024/5/1 8:15,320,kPa,\n"  # the sensor's own quantity, a unit that is converted, a date as spreadsheets write it
        "P2,压力,2024-05-01T00:30:00Z,310,,可疑\n"  # the sensor's own unit, UTC
        "F1,流量,2024-05-01 08:00,10,L/s,0\n"
        "Q1,余氯,2024-05-01,0.4,mg/L,\n"
        "P1,压力,2024-05-01 08:30,9.9,MPa,正常\n"  # OBS09: suspect, whatever the supplier says
        "P9,压力,2024-05-01 08:00,0.3,MPa,\n"  # OBS01
        "P1,压力,昨天,0.3,MPa,\n"  # OBS02
        "P1,压力,2024-05-01 08:45,坏,MPa,\n"  # OBS03
        "P1,甲,2024-05-01 08:45,0.3,MPa,\n"  # OBS04
        "P1,压力,2024-05-01 08:45,0.3,m,\n"  # OBS05
        "P1,压力,2999-05-01 08:45,0.3,MPa,\n"  # OBS06
        "F1,流量,2024-05-01 09:00,36,m3/h,\n"  # OBS07: the next row says otherwise
        "F1,流量,2024-05-01 09:00,10.5,L/s,\n"
        "F1,流量,2024-05-01 10:00,1,L/s,\n"  # OBS08: said twice
        "F1,流量,2024-05-01 10:00,3.6,m3/h,\n"
        "P1,压力,2024-05-01 08:50,0.3,MPa,怪\n",  # OBS10
        operator="钱七",
    )
    assert result.findings == {f"OBS{n:02d}": 1 for n in range(1, 11)}
    assert counts(result) == (8, 0, 1, 8) and result.rows_read == 17
    found = stored()
    assert found[("P1", "pressure", "05-01 00:00")] == (0.32, 0)
    assert found[("P1", "pressure", "05-01 00:15")] == (pytest.approx(0.32), 0)
    assert found[("P2", "pressure", "05-01 00:30")] == (pytest.approx(0.31), 1)
    assert found[("F1", "flow", "05-01 00:00")] == (36.0, 0) and found[("F1", "flow", "05-01 01:00")] == (pytest.approx(37.8), 0)
    assert found[("Q1", "chlorine", "04-30 16:00")] == (0.4, 0)
    assert found[("P1", "pressure", "05-01 00:30")] == (9.9, 1) and len(found) == 8
    with owner() as connection, connection.cursor() as cursor:
        cursor.execute("SELECT src_row, codes, record FROM meta.reject ORDER BY src_row")
        rejects = cursor.fetchall()
        cursor.execute("SELECT src_row, level, value, key FROM meta.finding WHERE code = 'OBS03'")
        assert cursor.fetchall() == [(9, "error", "坏", "P1")]
    assert [row[0] for row in rejects] == [7, 8, 9, 10, 11, 12, 13, 17]
    assert rejects[1][2] == {"sensor_id": "P1", "parameter": "压力", "at": "昨天", "value": "0.3", "unit": "MPa"}


def test_twice_is_once_late_corrects_and_back_is_back(sensors, tmp_path):
    rows = "".join(f"P1,压力,2024-05-01 {hour:02d}:00,0.{hour + 10},MPa,\n" for hour in range(10))
    first = load(tmp_path, rows)
    assert counts(first) == (10, 0, 0, 0)
    assert counts(load(tmp_path, rows)) == (0, 0, 10, 0), "the same again changes nothing"
    before = stored()
    late = load(tmp_path, "P1,压力,2024-05-01 03:00,0.5,MPa,\nP1,压力,2024-04-30 03:00,0.4,MPa,\n")
    assert counts(late) == (1, 1, 0, 0) and stored()[("P1", "pressure", "04-30 19:00")] == (0.5, 0)
    dry = load(tmp_path, "P1,压力,2024-05-01 04:00,0.6,MPa,\n", dry_run=True)
    assert dry.status == "dry_run" and counts(dry) == (0, 1, 0, 0) and stored()[("P1", "pressure", "04-30 20:00")] == (0.14, 0)
    with pytest.raises(InputError, match=str(late.batch)):
        observation.rollback(first.batch)
    observation.rollback(late.batch)
    assert stored() == before
    back = observation.rollback(first.batch)
    assert stored() == {} and back.layers[0].retired == 10
    with pytest.raises(InputError):
        observation.rollback(first.batch)
    assert counts(load(tmp_path, rows))[0] == 10, "a delivery that was taken back can be delivered again"


def test_what_is_mostly_wrong_is_refused_and_told(sensors, tmp_path, monkeypatch, capsys):
    with pytest.raises(Rejected) as refused:
        load(tmp_path, "P1,压力,2024-05-01 08:00,0.3,,\nX,压力,2024-05-01 08:00,0.3,,\nY,压力,2024-05-01 08:00,0.3,,\n")
    assert refused.value.result.findings == {"OBS01": 2} and stored() == {}
    with pytest.raises(Rejected):
        load(tmp_path, "")
    with pytest.raises(SourceError, match="监测时间"):
        load(tmp_path, "P1,1\n", header="设备编号,数值\n")
    path = tmp_path / "gbk.csv"
    path.write_bytes((HEADER + "P1,压力,2024-05-01 08:00,0.3,MPa,正常\n").encode("gbk"))
    monkeypatch.setattr(sys, "argv", ["onemap", "load", "observation", str(path), "--json"])
    with pytest.raises(SystemExit) as end:
        command.main()
    answer = json.loads(capsys.readouterr().out)
    assert end.value.code == 0 and answer["rows_loaded"] == 1 and answer["findings"] == {"SRC03": 1}
    monkeypatch.setattr(sys, "argv", ["onemap", "rollback", str(answer["batch"]), "--json"])
    with pytest.raises(SystemExit) as end:
        command.main()
    assert end.value.code == 0 and stored() == {}


def test_the_sample_is_the_same_every_time(tmp_path):
    table = pd.DataFrame({"sensor_id": ["A", "B", None, "C"], "kind": ["pressure", "weather", "flow", "level"],
                          "state": ["online", "online", "online", "offline"], "installed_on": ["2020-01-01"] * 4})  # fmt: skip
    texts = []
    for _ in range(2):
        sample.write(tmp_path, table, 7)
        texts.append((tmp_path / sample.FILE).read_text())
    lines = texts[0].splitlines()
    assert texts[0] == texts[1] and len(lines) == 1 + 2 * 96 * sample.DAYS
    pressure = np.array([float(line.split(",")[3]) for line in lines[1:] if line.startswith("A")])
    assert 0.2 < pressure.min() < pressure.max() < 0.4
