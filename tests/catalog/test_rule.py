"""A rule is a condition over one row; whatever could leave the row has no place in it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gis.catalog import rule

COLUMNS = {"lanes", "name", "level", "use"}


@pytest.mark.parametrize(("text", "sql"), [
    ("lanes > 1", 's."lanes" > 1'),
    ("name = 'lanes'", "s.\"name\" = 'lanes'"),
    ("level IS NOT NULL OR NOT use = 'it''s'", "s.\"level\" IS NOT NULL OR NOT s.\"use\" = 'it''s'"),
    ("left(name, 2) !~ '^[0-9]{2}$'", "left(s.\"name\", 2) !~ '^[0-9]{2}$'"),
    ("ST_Length(geom::geography) > 1.5e3", 'ST_Length(s."geom"::geography) > 1.5e3'),
    ("lanes IN (1, 2)", 's."lanes" IN (1, 2)'),
])  # fmt: skip
def test_columns_are_qualified(text, sql):
    assert rule.parse(text, COLUMNS).sql == sql


@pytest.mark.parametrize("text", [
    "lanes > (SELECT 1)", "lanes; DELETE", "lanes -- x", "lanes /* x */",
    "lanes > --1", "lanes /* 2", "lanes */ 2", "pg_sleep(10) IS NULL AND lanes > 1", "lanes > 1 UNION ALL lanes",
    "lanes::regclass IS NULL", "current_user = name", "lanes > 1)", "(lanes > 1", "name = 'open", "name LIKE '%x'", 'lanes > "lanes"',
    "name = $1", "name = $$x$$", "name = E'\\x41'", "lanes @> 1", "true", "", "1 = 1", "s.lanes > 1", "lanes \\g", "name = U&'x'",
])  # fmt: skip
def test_refused(text):
    with pytest.raises(rule.RuleError):
        rule.parse(text, COLUMNS)


@given(st.text(alphabet="lanesim ;-/*'\"()$\\%=<>~|:,.[]{}0123456789ABCSELECTfrom\n", max_size=40))
def test_whatever_passes_names_only_columns_and_known_words(text):
    try:
        parsed = rule.parse(text, COLUMNS)
    except rule.RuleError:
        return
    outside = "".join(parsed.sql.split("'")[::2])
    assert not any(mark in outside for mark in (";", "$", "/*", "--", "\\", "%"))
    assert parsed.columns
