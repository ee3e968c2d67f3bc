"""Maps as QGIS draws them, and the styles that it draws them by."""

import base64

from desk_project import described_vector
from desk_session import MESSAGES, kept, requests_of
from qgis.core import (
    QgsCoordinateReferenceSystem,
    QgsCoordinateTransform,
    QgsDateTimeRange,
    QgsMapRendererCustomPainterJob,
    QgsMapSettings,
    QgsProject,
    QgsRasterLayer,
    QgsRectangle,
    QgsVectorLayer,
)
from qgis.PyQt.QtCore import QBuffer, QByteArray, QDate, QDateTime, QIODevice, QSize, Qt, QTime
from qgis.PyQt.QtGui import QColor, QImage, QPainter


def drawn(one) -> dict:
    """A picture of layers of the open project; the share of its pixels that are no background, and where their middle is."""
    project = QgsProject.instance()
    root = project.layerTreeRoot()
    if one.get("source"):
        layers = [QgsRasterLayer(one["source"], one["name"], "wms")]
    elif one.get("layers"):
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
    return {
        "name": one["name"],
        "requests": made,
        "errors": errors,
        "valid": all(layer.isValid() for layer in layers),
        "mask": mask(image),
        "scale": settings.scale(),
        "png": png(image),
    }


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
