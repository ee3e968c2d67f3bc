"""Features for pygeoapi, straight from PostGIS: one statement per page, GeoJSON written by the database, as the caller may see it."""

from __future__ import annotations

from pygeoapi.provider.base import BaseProvider, ProviderItemNotFoundError

from gis.access.identity import caller
from gis.api import boxes, listing, schema
from gis.api.visit import current
from gis.catalog.model import Layer
from gis.catalog.read import catalog
from gis.errors import NotFound


def layer_of(provider_def: dict) -> Layer:
    """The layer that a provider definition of pygeoapi-config.yml stands for."""
    data = provider_def["data"]
    name = data["layer"] if isinstance(data, dict) else str(data)
    return catalog().layer(name.rsplit("/", 1)[-1].removesuffix(".tif").rsplit(".", 1)[-1])


class FeatureProvider(BaseProvider):
    """One layer as the caller of this request sees it. Made anew for every request, so it keeps nothing."""

    def __init__(self, provider_def: dict):
        super().__init__(provider_def | {"include_extra_query_parameters": True, "count": False, "editable": False})
        self.layer = layer_of(provider_def)
        identity = caller.get()
        if not self.layer.readable_by(identity.role):
            raise NotFound("Collection not found")
        self.columns = self.layer.columns_for(identity.role)
        self.id_field = self.layer.key[0] if len(self.layer.key) == 1 else "id"
        self.time_field = "valid_from"
        self.get_fields()

    def get_fields(self) -> dict:
        """The columns that the caller sees: {name: {type, format}}."""
        if not self._fields:
            self._fields = {name: schema.bare(column) for name, column in self.columns.items()}
        return self._fields

    def query(
        self,
        offset=0,
        limit=10,
        resulttype="results",
        bbox=None,
        datetime_=None,
        properties=(),
        sortby=(),
        select_properties=(),
        skip_geometry=False,
        q=None,
        language=None,
        filterq=None,
        crs_transform_spec=None,
        **_,
    ) -> dict:
        """A page of features as a GeoJSON feature collection; parameters as pygeoapi passes them.

        Raises the platform's errors; nothing is ignored.
        """
        found = listing.found(
            listing.Listing(
                self.layer,
                self.columns,
                limit,
                offset,
                result_type=resulttype,
                area=bbox or None,
                datetime=datetime_,
                q=q,
                others=properties,
                sort_by=tuple((by["property"], by["order"] == "-") for by in sortby),
                chosen=select_properties,
                geometry=not skip_geometry,
                filter=filterq,
                target=crs_transform_spec,
            )
        )
        return found.collection(found.rows.features(found.values, _is_looked_into()) if found.rows else [])

    def get(self, identifier, language=None, crs_transform_spec=None, **_) -> dict:
        """The feature with this id (key values joined by ':'), by one statement. Raises ProviderItemNotFoundError."""
        found = listing.one(self.layer, self.columns, identifier, crs_transform_spec or boxes.target(boxes.systems.CRS84))
        if found is None:
            raise ProviderItemNotFoundError(user_msg="No such feature")
        rows, values = found
        return rows.features([values], parsed=_is_looked_into())[0]

    def __repr__(self) -> str:
        return f"<FeatureProvider> {self.layer.id}"


def _is_looked_into() -> bool:
    """Whether a page or a formatter has to look into the features."""
    visit = current.get()
    return visit is not None and visit.looked_into
