"""The project as QGIS opens it: its layers, their names, code lists, classes and time."""

import base64

from desk_session import MESSAGES, kept, requests_of, settled
from qgis.core import QgsMapLayer, QgsProject, QgsRectangle
from qgis.PyQt.QtCore import Qt


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
