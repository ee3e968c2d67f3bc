"""Rows and callers for the tests of the API."""

from __future__ import annotations

import base64

from flask.testing import FlaskClient
from psycopg2 import sql

from gis.catalog.model import Layer
from gis.catalog.read import catalog
from gis.db.connection import owner

PASSWORD = "Blue-river-2024"


def put(layer_id: str, *rows: dict) -> None:
    """Publish rows into a layer, as a batch of their own; what a row does not say is as in the layer's good row."""
    layer = catalog().layers[layer_id]
    with owner() as connection, connection.cursor() as cursor:
        cursor.execute("INSERT INTO meta.batch (status, recorded_at) VALUES ('published', now()) RETURNING id")
        batch = cursor.fetchone()[0]
        cursor.execute(
            "INSERT INTO meta.batch_layer (batch, layer, rows_read, rows_loaded, inserted) VALUES (%s, %s, %s, %s, %s)",
            (batch, layer_id, len(rows), len(rows), len(rows)),
        )
        for row in rows:
            _insert(cursor, layer, {**layer.example, **row}, batch)


def _insert(cursor, layer: Layer, row: dict, batch: int) -> None:
    row = dict(row)
    geometry = row.pop("geometry")
    names = [name for name in row if name in layer.columns]
    typed = sql.SQL("ST_GeomFromText({}, 4490)").format(sql.Literal(geometry))
    if not layer.flat:
        typed = sql.SQL("ST_Force3D({})").format(typed)
    if layer.geometry.startswith("Multi"):
        typed = sql.SQL("ST_Multi({})").format(typed)
    cursor.execute(
        sql.SQL("INSERT INTO core.{} ({}, batch, recorded_from, geom) VALUES ({}, {}, now(), {})").format(
            sql.Identifier(layer.id),
            sql.SQL(", ").join(map(sql.Identifier, names)),
            sql.SQL(", ").join(sql.Literal(row[name]) for name in names),
            sql.Literal(batch),
            typed,
        )
    )


class Caller:
    """A test client that always sends the same credentials."""

    def __init__(self, client: FlaskClient, headers: dict):
        self.client, self.headers = client, headers

    def get(self, path: str, **more):
        return self.client.get(path, headers=self.headers | more.pop("headers", {}), **more)

    def post(self, path: str, **more):
        return self.client.post(path, headers=self.headers | more.pop("headers", {}), **more)

    def delete(self, path: str):
        return self.client.delete(path, headers=self.headers)


def basic(name: str, password: str = PASSWORD) -> dict:
    return {"Authorization": "Basic " + base64.b64encode(f"{name}:{password}".encode()).decode()}
