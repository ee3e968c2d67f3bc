"""What a real QGIS makes of the platform. Run by the Python that has PyQGIS, not by ours (`python3 -c` with this text), asked by one
JSON document on standard input, answered by one on standard output after a line of its own: it may live in another root and see none of
our files. It judges nothing: what it saw is compared with the database by `test_qgis.py`."""

import base64
import json
import os
import sys
import tempfile
import time
import traceback

HOME = tempfile.mkdtemp(prefix="qgis-")
os.environ.update(
    QT_QPA_PLATFORM="offscreen", HOME=HOME, XDG_RUNTIME_DIR=HOME, QGIS_CUSTOM_CONFIG_PATH=HOME, QGIS_AUTH_DB_DIR_PATH=HOME,
    PGSERVICEFILE=os.path.join(HOME, "pg_service.conf"),
)  # fmt: skip

from qgis.core import (  # noqa: E402
    Qgis,
    QgsApplication,
    QgsAuthMethodConfig,
    QgsCoordinateReferenceSystem,
    QgsCoordinateTransform,
    QgsDateTimeRange,
    QgsFeatureRequest,
    QgsGeometry,
    QgsMapLayer,
    QgsMapRendererCustomPainterJob,
    QgsMapSettings,
    QgsNetworkAccessManager,
    QgsProject,
    QgsRectangle,
    QgsVectorLayer,
    QgsVectorLayerTemporalContext,
    QgsVectorLayerUtils,
)
from qgis.PyQt.QtCore import QBuffer, QByteArray, QCoreApplication, QDate, QDateTime, QIODevice, QSize, Qt, QTime  # noqa: E402
from qgis.PyQt.QtGui import QColor, QImage, QPainter  # noqa: E402

REQUESTS: list = []
MESSAGES: list = []
VERBS = {1: "HEAD", 2: "GET", 3: "PUT", 4: "POST", 5: "DELETE", 6: "CUSTOM"}


def settled() -> None:
    """Requests are made in other threads; what they tell this one waits in its queue."""
    for _ in range(20):
        QCoreApplication.processEvents()


def requests_of(work):
    """What the work returns, and the requests that it made."""
    settled()
    REQUESTS.clear()
    found = work()
    settled()
    return found, list(REQUESTS)


def plain(value):
    """A value of QGIS as JSON has it."""
    if value is None or str(value) == "NULL":
        return None
    if isinstance(value, QDate):
        return value.toString(Qt.ISODate)
    if isinstance(value, QDateTime):
        return value.toString(Qt.ISODate)
    return value if isinstance(value, (bool, int, float, str)) else str(value)


def log_in(asked) -> dict:
    """Credentials as a planner keeps them: in QGIS's encrypted store, under an id."""
    manager = QgsApplication.authManager()
    manager.setMasterPassword("only for this test", True)
    stored = {}
    for one in asked["credentials"]:
        if one["method"] not in manager.authMethodsKeys():
            continue
        config = QgsAuthMethodConfig(one["method"])
        config.setId(one["id"])
        config.setName(one["id"])
        for name, value in one["values"].items():
            config.setConfig(name, value)
        answer = manager.storeAuthenticationConfig(config)
        stored[one["id"]] = answer[0] if isinstance(answer, tuple) else answer
    return stored


def kept(name: str, content: bytes) -> str:
    """The path of a file with this content."""
    path = os.path.join(HOME, name)
    with open(path, "wb") as file:
        file.write(content)
    return path


# --- the project ------------------------------------------------------------------------------------------------------


def opened(packed: str) -> dict:
    path = kept("city.qgz", base64.b64decode(packed))
    project = QgsProject.instance()
    settled()
    MESSAGES.clear()
    done, asked = requests_of(lambda: project.read(path))
    layers = {}
    for layer in project.mapLayers().values():
        layers[layer.id()] = described(layer)
    tree = [
        [group.name(), [[child.name(), child.layer() is not None] for child in group.findLayers()], group.itemVisibilityChecked()]
        for group in project.layerTreeRoot().children()
    ]
    extent = project.viewSettings().defaultViewExtent() if hasattr(project.viewSettings(), "defaultViewExtent") else QgsRectangle()
    span = project.timeSettings().temporalRange()
    return {
        "read": done,
        "error": project.error(),
        "title": project.title(),
        "crs": project.crs().authid(),
        "ellipsoid": project.ellipsoid(),
        "span": [span.begin().toString(Qt.ISODate), span.end().toString(Qt.ISODate)],
        "layers": layers,
        "tree": tree,
        "order": [layer.id() for layer in project.layerTreeRoot().layerOrder()],
        "requests": len(asked),
        "messages": list(MESSAGES),
        "extent": [extent.xMinimum(), extent.yMinimum(), extent.xMaximum(), extent.yMaximum()],
    }


def described(layer) -> dict:
    provider = layer.dataProvider()
    found = {
        "name": layer.name(),
        "valid": layer.isValid(),
        "provider": provider.name() if provider else layer.providerType(),
        "crs": layer.crs().authid(),
        "error": layer.error().message() if layer.error() else "",
        "abstract": layer.metadata().abstract(),
        "min_scale": layer.minimumScale() if layer.hasScaleBasedVisibility() else None,
    }
    if layer.type() == QgsMapLayer.VectorLayer:
        found.update(described_vector(layer))
    elif layer.type() == QgsMapLayer.VectorTileLayer:
        found["classes"] = [[style.styleName(), style.filterExpression()] for style in layer.renderer().styles()]
    return found


def described_vector(layer) -> dict:
    time_of = layer.temporalProperties()
    renderer = layer.renderer()
    maps = {}
    for i, field in enumerate(layer.fields()):
        setup = layer.editorWidgetSetup(i)
        if setup.type() == "ValueMap":
            maps[field.name()] = {code: title for entry in setup.config()["map"] for title, code in entry.items()}
    return {
        "geometry": layer.wkbType() if isinstance(layer.wkbType(), int) else int(layer.wkbType().value),
        "fields": {field.name(): [field.typeName(), layer.attributeAlias(i)] for i, field in enumerate(layer.fields())},
        "maps": maps,
        "renderer": renderer.type() if renderer else None,
        "classes": [[item.label(), item.ruleKey()] for item in renderer.legendSymbolItems()] if renderer else [],
        "labels": layer.labelsEnabled() and layer.labeling() is not None,
        "label": layer.labeling().settings().fieldName if layer.labeling() else None,
        "temporal": [time_of.isActive(), int(time_of.mode()), time_of.startField(), time_of.endField()],
    }


# --- reading ----------------------------------------------------------------------------------------------------------


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


# --- drawing ----------------------------------------------------------------------------------------------------------


def drawn(one) -> dict:
    """A picture of layers of the open project; the share of its pixels that are no background, and where their middle is."""
    project = QgsProject.instance()
    root = project.layerTreeRoot()
    if one.get("layers"):
        layers = [project.mapLayer(name) for name in one["layers"]]
    else:
        layers = [layer for layer in root.layerOrder() if root.findLayer(layer.id()).isVisible()]
    settings = QgsMapSettings()
    settings.setLayers(layers)
    settings.setDestinationCrs(project.crs())
    settings.setTransformContext(project.transformContext())
    settings.setOutputSize(QSize(*one.get("size", (500, 400))))
    settings.setOutputDpi(one.get("dpi", 96))
    settings.setBackgroundColor(QColor("#ffffff"))
    to_project = QgsCoordinateTransform(QgsCoordinateReferenceSystem("EPSG:4490"), project.crs(), project.transformContext())
    settings.setExtent(to_project.transformBoundingBox(QgsRectangle(*one["box"])))
    if one.get("day"):
        day = QDateTime(QDate.fromString(one["day"], Qt.ISODate), QTime(0, 0))
        settings.setIsTemporal(True)
        settings.setTemporalRange(QgsDateTimeRange(day, day.addDays(1), True, False))
    image = QImage(settings.outputSize(), QImage.Format_ARGB32)
    image.fill(QColor("#ffffff"))
    painter = QPainter(image)
    job = QgsMapRendererCustomPainterJob(settings, painter)
    _, made = requests_of(lambda: (job.start(), job.waitForFinished()))
    painter.end()
    errors = [f"{error.layerID}: {error.message}" for error in job.errors()]
    return {"name": one["name"], "requests": made, "errors": errors, "mask": mask(image), "scale": settings.scale(), "png": png(image)}


def png(image) -> str:
    held = QByteArray()
    device = QBuffer(held)
    device.open(QIODevice.WriteOnly)
    image.save(device, "PNG")
    return base64.b64encode(bytes(held)).decode()


def mask(image) -> list:
    """Which cells of 10 by 10 pixels have anything but background in them, row by row."""
    rows = []
    for y in range(0, image.height(), 10):
        cells = ""
        for x in range(0, image.width(), 10):
            painted = any(
                image.pixel(i, j) & 0xFFFFFF != 0xFFFFFF
                for j in range(y, min(y + 10, image.height()), 2)
                for i in range(x, min(x + 10, image.width()), 2)
            )
            cells += "#" if painted else "."
        rows.append(cells)
    return rows


def styles(asked) -> list:
    """Each QML on an empty layer of its geometry and fields: whether it was taken, and what QGIS said."""
    found = []
    for one in asked["styles"]:
        fields = "&".join(f"field={name}:{kind}" for name, kind in one["fields"].items())
        layer = QgsVectorLayer(f"{one['geometry']}?crs=EPSG:4490&{fields}", one["layer"], "memory")
        MESSAGES.clear()
        message, done = layer.loadNamedStyle(kept(one["layer"] + ".qml", one["qml"].encode()))
        symbols = sum(1 for _ in layer.renderer().legendSymbolItems())
        kinds = [
            [part.layerType() for part in item.symbol().symbolLayers()] for item in layer.renderer().legendSymbolItems() if item.symbol()
        ]
        colors = [item.symbol().symbolLayer(item.symbol().symbolLayerCount() - 1).color().name() for item in
                  layer.renderer().legendSymbolItems() if item.symbol()]  # fmt: skip
        found.append({
            "layer": one["layer"], "taken": done, "said": message if not done else "", "symbols": symbols, "parts": kinds, "colors": colors,
            "messages": list(MESSAGES), **described_vector(layer),
        })  # fmt: skip
    return found


# --- editing and logging in -------------------------------------------------------------------------------------------


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
    step("change", lambda: layer.changeAttributeValue(wanted().id(), layer.fields().lookupField(one["changed"][0]), one["changed"][1]))
    step("move", lambda: layer.changeGeometry(wanted().id(), QgsGeometry.fromWkt(one["moved"])))
    step("delete", lambda: layer.deleteFeature(wanted().id()))
    return {"crs": one["crs"], "can": can, "steps": steps}


def now(asked, one):
    layer = api_layer(asked, one["layer"], authcfg=one["authcfg"])
    request = QgsFeatureRequest().setFilterExpression(f"\"{one['key']}\" = '{one['id']}'")
    return [{**{field.name(): plain(f[field.name()]) for field in f.fields()}, "place": vertex(f)[:2]} for f in layer.getFeatures(request)]


def answers(asked) -> dict:
    found = {"version": Qgis.QGIS_VERSION_INT, "stored": log_in(asked), "seconds": {}}
    parts = {
        "logins": lambda: logins(asked),
        "project": lambda: opened(asked["project"]),
        "times": lambda: times(asked),
        "pictures": lambda: [drawn(one) for one in asked["pictures"]],
        "positions": lambda: positions(asked),
        "pages": lambda: pages(asked),
        "filters": lambda: filters(asked),
        "styles": lambda: styles(asked),
        "postgis": lambda: opened(asked["postgis"]),
        "database_picture": lambda: drawn(asked["database_picture"]),
        "edits": lambda: [edited(asked, one) for one in asked["edits"]],
    }
    for name, part in parts.items():
        if name not in asked.get("parts", parts):
            continue
        began = time.monotonic()
        try:
            found[name] = part()
        except Exception:  # what went wrong in one part is told by the test that needs it
            found[name] = {"failed": traceback.format_exc()}
        found["seconds"][name] = round(time.monotonic() - began, 2)
    return found


def main() -> None:
    asked = json.load(sys.stdin)
    kept("pg_service.conf", asked.get("services", "").encode())
    QgsApplication.setPrefixPath("/usr", True)
    application = QgsApplication([], False)
    application.initQgis()
    QgsNetworkAccessManager.instance().requestAboutToBeCreated["QgsNetworkRequestParameters"].connect(
        lambda one: REQUESTS.append([VERBS.get(int(one.operation()), "?"), one.request().url().toString()])
    )
    QgsApplication.messageLog().messageReceived.connect(lambda text, tag, level: MESSAGES.append([tag, int(level), text]))
    found = answers(asked)
    QgsProject.instance().clear()
    print(asked["marker"])
    print(json.dumps(found, default=plain))
    sys.stdout.flush()
    os._exit(0)  # QGIS's own end is slow and, without a display, not always a good one


main()
