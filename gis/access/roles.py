"""Who may see what: the access of the layer files as the API needs it, so that what a caller may not see does not exist on any path.

The database holds the same through grants (`gis.catalog.ddl.grants`); both come from the same lines of the layer file.
"""

from __future__ import annotations

from functools import lru_cache

from gis.catalog.model import ROLES, Catalog, Layer

ADMIN = "admin"
ANONYMOUS = "anonymous"
PUBLIC_LABEL = "公开"
"""The label of layers that leave no trace in the audit (内部 and 敏感 do)."""

__all__ = ["ADMIN", "ANONYMOUS", "ROLES", "is_restricted", "visible_catalog"]


@lru_cache(maxsize=64)
def visible_catalog(catalog: Catalog, role: str) -> Catalog:
    """The catalogue as this role sees it: his layers with his columns only, and nothing that names another."""
    return catalog.model_copy(update={"layers": {name: _visible(layer, role) for name, layer in catalog.readable_by(role).items()}})


def _visible(layer: Layer, role: str) -> Layer:
    seen = layer.columns_for(role)
    update = {
        "fields": {name: column for name, column in layer.fields.items() if name in seen},
        "tiles": layer.tiles.model_copy(update={"columns": tuple(name for name in layer.tiles.columns if name in seen)}),
    }
    hidden_in_style = {"label": layer.style.label, "by": layer.style.by}
    lost = {key: None for key, name in hidden_in_style.items() if name and name not in seen}
    if lost:
        update["style"] = layer.style.model_copy(update=lost | ({"cases": ()} if "by" in lost else {}))
    return layer.model_copy(update=update)


MARKS = {"公开": "", "内部": "internal", "敏感": "sensitive"}
"""How the label of a layer stands in the name of a file."""


def marked(layer: Layer, name: str) -> str:
    """The name of a file with the layer's rows, with its label: a file that leaves the platform still says what it is."""
    mark, (stem, _, suffix) = MARKS[layer.access.label], name.partition(".")
    return f"{stem}.{mark}.{suffix}" if mark else name


def is_restricted(layer: Layer) -> bool:
    """Whether every access to the layer goes into the audit."""
    return layer.access.label != PUBLIC_LABEL
