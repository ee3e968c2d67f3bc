"""What the tests of filters ask."""

from __future__ import annotations

import psycopg2.extras
import pytest
from filtered import ROWS

from gis.db import connection


@pytest.fixture(scope="module")
def table(template):
    """A connection that holds the rows in a temporary table `thing`."""
    with connection.owner() as conn, conn.cursor() as cursor:
        cursor.execute("SET TIME ZONE 'Asia/Shanghai'")
        cursor.execute(
            "CREATE TEMP TABLE thing (id bigint, a bigint, b double precision, name text, flag boolean, seen"
            " timestamptz, tags text[], secret text, valid_from date, valid_to date, geom geometry(Point,4490))"
        )
        psycopg2.extras.execute_batch(
            cursor,
            "INSERT INTO thing VALUES (%(id)s, %(a)s, %(b)s, %(name)s, %(flag)s, %(seen)s, %(tags)s, %(secret)s,"
            " %(valid_from)s, %(valid_to)s, ST_SetSRID(ST_MakePoint(%(lon)s, %(lat)s), 4490))",
            ROWS,
        )
        yield conn
