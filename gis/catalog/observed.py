"""What sensors observe: the quantities, their units, what is plausible, how deliveries call them. Stored is the unit named here."""

from __future__ import annotations

from dataclasses import dataclass

from gis.catalog.model import Access, Column, Layer, Source, Text

ID = "observation"
"""What observations are called among the deliveries."""
SENSORS = "sensor"
"""The layer of the sensors; who may see it sees what they observe."""


@dataclass(frozen=True)
class Quantity:
    """An observed quantity: titles, the unit it is stored in (UCUM) as it is shown, the plausible range, other units with the factor and
    shift that lead to this one, other names in deliveries."""

    title: Text
    unit: str
    symbol: str
    low: float
    high: float
    units: dict[str, tuple[float, float]]
    names: tuple[str, ...] = ()


def _quantity(zh, en, unit, symbol, low, high, units=None, names=()) -> Quantity:
    mine = {symbol: (1.0, 0.0), unit: (1.0, 0.0)}
    return Quantity(Text(zh=zh, en=en), unit, symbol, low, high, mine | {k: (v, 0.0) for k, v in (units or {}).items()}, names)


QUANTITIES: dict[str, Quantity] = {
    "pressure": _quantity("压力", "Pressure", "MPa", "MPa", -0.1, 4.0,
                          {"kPa": 1e-3, "bar": 0.1, "Pa": 1e-6, "mH2O": 0.00980665, "kgf/cm2": 0.0980665}, ("压强", "水压")),
    "flow": _quantity("流量", "Flow", "m3/h", "m³/h", -50_000, 50_000, {"L/s": 3.6, "m3/s": 3600.0, "m³/s": 3600.0, "L/min": 0.06},
                      ("瞬时流量",)),
    "level": _quantity("液位", "Level", "m", "m", -20, 100, {"cm": 0.01, "mm": 0.001}, ("水位",)),
    "turbidity": _quantity("浊度", "Turbidity", "[NTU]", "NTU", 0, 4000, {"FNU": 1.0}, ()),
    "chlorine": _quantity("余氯", "Residual chlorine", "mg/L", "mg/L", 0, 20, {"ug/L": 1e-3, "ppm": 1.0}, ()),
    "ph": _quantity("酸碱度", "pH", "[pH]", "pH", 0, 14, {"1": 1.0}, ("pH", "pH值")),
    "gas": _quantity("可燃气体浓度", "Combustible gas", "%", "%LEL", 0, 100, {}, ("燃气浓度", "甲烷")),
    "cover": _quantity("井盖开启", "Manhole cover open", "1", "1", 0, 1, {"": 1.0}, ("井盖状态",)),
    "rain": _quantity("雨量", "Rain", "mm", "mm", 0, 300, {"cm": 10.0}, ("降雨量",)),
    "temperature": _quantity("温度", "Temperature", "Cel", "℃", -60, 90, {"°C": 1.0, "C": 1.0}, ("气温", "水温")),
}  # fmt: skip
"""The quantities by id: the parameter names of the API."""

OF_KIND = {"pressure": "pressure", "flow": "flow", "level": "level", "quality": "turbidity", "gas": "gas", "manhole_cover": "cover",
           "weather": "rain"}  # fmt: skip
"""What a sensor of a kind observes where a delivery does not say."""

QUALITIES: tuple[tuple[str, Text, tuple[str, ...]], ...] = (
    ("good", Text(zh="正常", en="good"), ("0", "ok", "正常", "有效")),
    ("suspect", Text(zh="可疑", en="suspect"), ("1", "可疑", "异常")),
    ("estimated", Text(zh="估算", en="estimated"), ("2", "估算", "插补")),
    ("bad", Text(zh="无效", en="bad"), ("3", "无效", "故障", "error")),
)
"""The quality flags; their place is the number that is stored, the last column other names in deliveries."""


def _column(kind: str, zh: str, en: str, *source: str, required: bool = False) -> Column:
    return Column(type=kind, title=Text(zh=zh, en=en), source=source, required=required)


DELIVERED = Layer(
    id=ID, group="sensor", title=Text(zh="监测数据", en="Observations"),
    description=Text(zh="感知设备的观测值", en="Values observed by sensors"), geometry="Point", key=("sensor_id",),
    fields={
        "sensor_id": _column("text", "设备编号", "Sensor id", "编号", "设备", "sensor", required=True),
        "parameter": _column("text", "监测项", "Parameter", "指标", "监测指标", "参数"),
        "at": _column("timestamp", "监测时间", "Time", "时间", "采集时间", "观测时间", "time", "timestamp", "datetime", required=True),
        "value": _column("real", "数值", "Value", "监测值", "观测值", "值", required=True),
        "unit": _column("text", "单位", "Unit", "计量单位"),
        "quality": _column("text", "质量", "Quality", "质量标识", "数据质量", "flag"),
    },
    source=Source(files=("observation*.*", "监测数据*.*")), access=Access(),
)  # fmt: skip
"""A delivery of observations, said as a layer is: the names of its columns."""
