"""In which coordinate reference system a source is read: asked for, declared by the file, or assumed by the layer file."""

from __future__ import annotations

from gis import crs as reference
from gis.catalog.model import Layer
from gis.catalog.read import catalog
from gis.errors import SourceError
from gis.ingest.findings import Findings


def source_crs(name: str, layer: Layer, asked: str | int | None, declared: str | None, findings: Findings) -> str:
    """The CRS to read the file `name` in. Raises SourceError where none is known, or none that leads to CGCS2000."""
    if asked is not None:
        chosen = str(asked)
    elif declared is not None:
        chosen = declared
    elif layer.source.crs is not None:
        chosen = layer.source.crs
        findings.add(layer.id, "CRS01", "info", f"{name} declares no CRS; the layer file's was taken", value=chosen)
    else:
        raise SourceError(
            f"{name} says in no place which coordinate reference system it is in",
            remedy="Give it with --crs, for example --crs EPSG:4548, or --place LON,LAT for a drawing in local coordinates",
        )
    if reference.chinese_offset(chosen):
        findings.add(layer.id, "CRS04", "info", f"converted from {chosen}: positions are good to metres, not survey grade", value=chosen)
        return chosen
    older = reference.older_datum(chosen)
    if older is None:
        return chosen
    known = reference.known_datum(chosen, catalog().city.shifts)
    findings.add(
        layer.id, "CRS07", "info", f"{name}: {reference.crs(chosen).name} was brought to CGCS2000 by the city's parameters", value=older
    )
    return known
