"""Layers of the API as a planner adds, filters and changes them at his desk."""

from desk_session import MESSAGES, plain, requests_of
from qgis.core import (
    QgsDateTimeRange,
    QgsFeatureRequest,
    QgsGeometry,
    QgsProject,
    QgsRectangle,
    QgsVectorLayer,
    QgsVectorLayerTemporalContext,
    QgsVectorLayerUtils,
)
from qgis.PyQt.QtCore import QDate, QDateTime, Qt, QTime


def api_layer(asked, layer, *, authcfg=None, more=""):
    login = f"authcfg={authcfg} " if authcfg else ""
    source = f"{login}pagingEnabled='true' typename='{layer}' url='{asked['url']}/' version='OGC_API_FEATURES' {more}"
    return QgsVectorLayer(source, layer, "OAPIF")


def key_of(feature, key) -> str:
    return ":".join(str(feature[name]) for name in key)


def positions(asked) -> list:
    """The first vertices of features, as QGIS places them in the layer's CRS, for each CRS asked for."""
    found = []
    for one in asked["positions"]:
        layer = api_layer(asked, one["layer"], authcfg=asked["authcfg"], more=f"srsname='{one['crs']}'")
        here, made = requests_of(lambda layer=layer, key=one["key"]: {key_of(f, key): vertex(f) for f in layer.getFeatures()})
        found.append({**one, "valid": layer.isValid(), "system": layer.crs().authid(), "vertices": here, "requests": made})
    return found


def vertex(feature) -> list:
    point = next(feature.geometry().vertices())
    return [point.x(), point.y(), point.z() if point.is3D() else None]


def read(layer, key, request):
    """The ids of the features that are wanted, and what was asked of the server for them."""
    return requests_of(lambda: sorted(key_of(feature, key) for feature in layer.getFeatures(request)))


def pages(asked) -> dict:
    layer = api_layer(asked, asked["large"]["layer"])
    ids, made = requests_of(lambda: [key_of(f, asked["large"]["key"]) for f in layer.getFeatures()])
    small = api_layer(asked, asked["large"]["layer"], more="pageSize='700'")
    again, by_700 = requests_of(lambda: sum(1 for _ in small.getFeatures()))
    return {"ids": len(ids), "distinct": len(set(ids)), "requests": made, "by_700": again, "requests_by_700": by_700}


def filters(asked) -> list:
    found = []
    for one in asked["filters"]:
        layer = api_layer(asked, one["layer"], authcfg=asked["authcfg"], more=one.get("more", ""))
        request = QgsFeatureRequest()
        if one.get("expression"):
            request.setFilterExpression(one["expression"])
        if one.get("bbox"):
            request.setFilterRect(QgsRectangle(*one["bbox"]))
        ids, made = read(layer, one["key"], request)
        found.append({"name": one["name"], "ids": ids, "requests": made, "sent": sent(made), "subset": subset(asked, one)})
    return found


def subset(asked, one) -> dict:
    """The same as the filter of the layer, as a planner sets it."""
    if not one.get("expression"):
        return {}
    layer = api_layer(asked, one["layer"], authcfg=asked["authcfg"])
    if not layer.setSubsetString(one["expression"]):
        return {"taken": False}
    ids, made = read(layer, one["key"], QgsFeatureRequest())
    return {"taken": True, "ids": ids, "requests": made}


def sent(made) -> list:
    return [url for verb, url in made if "/items" in url]


def times(asked) -> list:
    """What the temporal controller shows on a day."""
    found = []
    for one in asked["times"]:
        layer = QgsProject.instance().mapLayer("onemap_layer_" + one["layer"])
        context = QgsVectorLayerTemporalContext()
        context.setLayer(layer)
        day = QDateTime(QDate.fromString(one["day"], Qt.ISODate), QTime(0, 0))
        span = QgsDateTimeRange(day, day.addDays(1), True, False)
        expression = layer.temporalProperties().createFilterString(context, span)
        request = QgsFeatureRequest().setFilterExpression(expression)
        ids, made = read(layer, one["key"], request)
        found.append({**one, "expression": expression, "ids": ids, "sent": sent(made)})
    return found


def logins(asked) -> list:
    found = []
    for authcfg in asked["logins"]:
        layer = api_layer(asked, asked["restricted"], authcfg=authcfg)
        rows = sum(1 for _ in layer.getFeatures()) if layer.isValid() else None
        found.append({"authcfg": authcfg, "valid": layer.isValid(), "rows": rows})
    return found


def edited(asked, one) -> dict:
    """Add, change, move, delete, each committed by itself, as a planner does; what stands there afterwards is read by a new layer."""
    steps = []
    layer = api_layer(asked, one["layer"], authcfg=one["authcfg"], more=f"srsname='{one['crs']}'")
    can = layer.dataProvider().capabilitiesString()

    def step(name, work):
        MESSAGES.clear()
        started = layer.startEditing()
        done, made = requests_of(lambda: (work(), layer.commitChanges())[1])
        said = list(layer.commitErrors())
        if not done:
            layer.rollBack()
        steps.append({
            "name": name, "started": started, "committed": done, "said": said, "messages": list(MESSAGES), "requests": made,
            "now": now(asked, one),
        })  # fmt: skip
        layer.dataProvider().reloadData()

    def wanted():
        return next(layer.getFeatures(QgsFeatureRequest().setFilterExpression(f"\"{one['key']}\" = '{one['id']}'")))

    def add():
        values = {layer.fields().lookupField(name): value for name, value in one["values"].items()}
        point = QgsGeometry.fromWkt(one["wkt"])
        layer.addFeature(QgsVectorLayerUtils.createFeature(layer, point, values))

    if "Add Features" not in can:
        return {"crs": one["crs"], "can": can, "steps": []}
    step("add", add)
    if not steps[0]["committed"]:
        return {"crs": one["crs"], "can": can, "steps": steps}
    step("change", lambda: layer.changeAttributeValue(wanted().id(), layer.fields().lookupField(one["changed"][0]), one["changed"][1]))
    step("move", lambda: layer.changeGeometry(wanted().id(), QgsGeometry.fromWkt(one["moved"])))
    step("delete", lambda: layer.deleteFeature(wanted().id()))
    return {"crs": one["crs"], "can": can, "steps": steps}


def now(asked, one):
    layer = api_layer(asked, one["layer"], authcfg=one["authcfg"])
    request = QgsFeatureRequest().setFilterExpression(f"\"{one['key']}\" = '{one['id']}'")
    return [{**{field.name(): plain(f[field.name()]) for field in f.fields()}, "place": vertex(f)} for f in layer.getFeatures(request)]
