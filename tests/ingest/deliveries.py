"""What the tests of the load share: asking the database, the content of a layer, a little network."""

import hashlib

import geopandas
import shapely

from gis.db.connection import owner

BELIEVED = "recorded_from <= %s AND (recorded_to IS NULL OR recorded_to > %s)"
"""What was believed at a moment (given twice)."""


def query(text, *values):
    with owner() as connection, connection.cursor() as cursor:
        cursor.execute(text, values)
        return cursor.fetchall()


def content(layer):
    """A digest of what a layer's core says: every column but the moment of recording."""
    columns = [
        r[0]
        for r in query(
            "SELECT column_name::text FROM information_schema.columns WHERE table_schema = 'core' AND table_name = %s ORDER BY 1", layer
        )
    ]
    listed = ", ".join(f'"{c}"::text' for c in columns if c != "recorded_from")
    return hashlib.sha256(repr(query(f"SELECT {listed} FROM core.{layer} ORDER BY fid")).encode()).hexdigest()


def pipes(network, n=3):
    nodes = geopandas.GeoDataFrame(
        {"network": network, "node_id": [f"N{i}" for i in range(n + 1)]},
        geometry=shapely.points([[117.0 + i / 1000, 32.0] for i in range(n + 1)]),
        crs=4490,
    )
    lines = [shapely.LineString([(117.0 + i / 1000, 32.0), (117.001 + i / 1000, 32.0)]) for i in range(n)]
    pipe = geopandas.GeoDataFrame(
        {
            "network": network,
            "pipe_id": [f"P{i}" for i in range(n)],
            "from_node": [f"N{i}" for i in range(n)],
            "to_node": [f"N{i + 1}" for i in range(n)],
            "diameter_mm": 300.0,
        },
        geometry=lines,
        crs=4490,
    )
    return {"water_node": nodes, "water_pipe": pipe}
