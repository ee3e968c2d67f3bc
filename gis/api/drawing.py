"""Features as the entities of a drawing (DXF R2010), written as text: objects of a library, one for each vertex, take several times longer.

What stands before and behind the entities is the library's; here are POINT and 3D POLYLINE with VERTEX and SEQEND (DXF Reference, Entities
Section), each with a handle of its own, its drawing layer, and the feature's properties as extended data.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from itertools import count

import ezdxf
import numpy as np
import shapely
from ezdxf.document import Drawing

APPLICATION = "ONEMAP"
"""Under which the properties stand (group 1001)."""
LONGEST_TEXT = 250
"""Characters of a property with its name: a string of extended data holds 255."""
_NO_LAYER_NAME = re.compile(r'[<>/\\":;?*|=,`\x00-\x1f]')
_SEED = re.compile(r"(\$HANDSEED\n *5\n)[0-9A-F]+")


def empty() -> Drawing:
    """A drawing without entities, that knows the application."""
    drawing = ezdxf.new("R2010")
    drawing.appids.add(APPLICATION)
    return drawing


def around(drawing: Drawing) -> tuple[str, str]:
    """What stands in the file of an empty drawing before and behind its entities; no number of theirs is given again."""
    text = io.StringIO()
    drawing.write(text)
    before, section, behind = text.getvalue().partition("  2\nENTITIES\n")
    return _SEED.sub(r"\g<1>FFFFFFFF", before) + section, behind


def layer_name(text: str) -> str:
    """A text as the name of a drawing layer."""
    return _NO_LAYER_NAME.sub("_", text)[:255]


class Entities:
    """The entities of a drawing, one after the other. `changed`: how many texts had to be cut."""

    def __init__(self, drawing: Drawing):
        self._space = drawing.modelspace().layout_key
        self._handles = count(int(str(drawing.entitydb.handles), 16))
        self.changed = 0

    def written(self, shapes: np.ndarray, layers: list[str], said: list[list[str]]) -> Iterator[str]:
        """Features with the layers that they lie on and their properties as `name=value`, each as text."""
        for shape, layer, texts in zip(shapes, layers, said, strict=True):
            data = "".join(map(self._property, texts))
            extended = f"1001\n{APPLICATION}\n{data}" if data else ""
            for part in shapely.get_parts(shape):
                yield self._part(part, layer, extended)

    def _property(self, text: str) -> str:
        text = " ".join(text.split())
        if len(text) > LONGEST_TEXT:
            self.changed += 1
            text = text[:LONGEST_TEXT]
        return f"1000\n{text}\n"

    def _part(self, part: shapely.Geometry, layer: str, extended: str) -> str:
        if part.geom_type == "Point":
            x, y, z = _coordinates(part)[0]
            head = f"  0\nPOINT\n  5\n{next(self._handles):X}\n330\n{self._space}\n100\nAcDbEntity\n  8\n{layer}\n100\nAcDbPoint\n"
            return f"{head} 10\n{x}\n 20\n{y}\n 30\n{z}\n{extended}"
        if part.geom_type == "Polygon":
            # the last point of a ring is its first one: a closed polyline needs it once
            return "".join(self._polyline(_coordinates(ring)[:-1], 9, layer, extended) for ring in (part.exterior, *part.interiors))
        return self._polyline(_coordinates(part), 8, layer, extended)

    def _polyline(self, points: list[list[float]], flags: int, layer: str, extended: str) -> str:
        number = f"{next(self._handles):X}"
        inside = f"330\n{number}\n100\nAcDbEntity\n  8\n{layer}\n"
        vertex = f"{inside}100\nAcDbVertex\n100\nAcDb3dPolylineVertex\n"
        vertices = "".join(
            f"  0\nVERTEX\n  5\n{next(self._handles):X}\n{vertex} 10\n{x}\n 20\n{y}\n 30\n{z}\n 70\n32\n" for x, y, z in points
        )
        return (
            f"  0\nPOLYLINE\n  5\n{number}\n330\n{self._space}\n100\nAcDbEntity\n  8\n{layer}\n100\nAcDb3dPolyline\n 66\n1\n"
            f" 10\n0.0\n 20\n0.0\n 30\n0.0\n 70\n{flags}\n{extended}{vertices}  0\nSEQEND\n  5\n{next(self._handles):X}\n{inside}"
        )


def _coordinates(shape: shapely.Geometry) -> list[list[float]]:
    """x, y and the height, 0 where there is none."""
    return np.nan_to_num(shapely.get_coordinates(shape, include_z=True)).tolist()
