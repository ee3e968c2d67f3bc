"""Statements that a connection keeps prepared: asked again, PostgreSQL neither reads nor plans them (three quarters of the work of
finding one feature by its key, docs/decisions/0171).

Only for statements whose best plan is the same for all values, such as those by a key: what is kept may become a plan for any value.
"""

from __future__ import annotations

import re
from collections import OrderedDict

import psycopg2
import psycopg2.errors
import psycopg2.extensions
from psycopg2 import sql

MOST = 200
"""Statements that a connection keeps; the one not asked for longest is given up."""
_PLACEHOLDER = re.compile(r"%(?:%|\((\w+)\)s)")
_LOST = (psycopg2.errors.InvalidSqlStatementName, psycopg2.errors.DuplicatePreparedStatement, psycopg2.errors.FeatureNotSupported)
"""Another server process than the one that prepared it (a pooler between), or a table that has changed its columns' types."""


class Link(psycopg2.extensions.connection):
    """A connection of the serving login, with the statements it keeps."""

    def __init__(self, *given, **named):
        super().__init__(*given, **named)
        self.kept: OrderedDict[str, sql.SQL] = OrderedDict()
        self.keeps = True
        self._made = 0

    def run(self, settings: sql.Composable, statement: sql.Composable, parameters: dict, keep: bool) -> list[tuple]:
        """The rows of a statement. `settings` (what holds for its transaction only) come before it in the same message."""
        with self.cursor() as cursor:
            if keep and self.keeps:
                try:
                    cursor.execute(settings + self._execution(cursor, settings, statement, parameters), parameters)
                    return cursor.fetchall()
                except _LOST:
                    self.keeps = False
            cursor.execute(settings + statement, parameters)
            return cursor.fetchall()

    def _execution(self, cursor, settings: sql.Composable, statement: sql.Composable, parameters: dict) -> sql.Composable:
        """`EXECUTE …` of the statement, which is prepared where it is not kept yet: with the settings, for it may name only what the role
        may see."""
        text = statement.as_string(self)
        found = self.kept.get(text)
        if found is not None:
            self.kept.move_to_end(text)
            return found
        names: list[str] = []

        def numbered(match: re.Match) -> str:
            if match[1] is None:
                return "%"
            if match[1] not in names:
                names.append(match[1])
            return f"${names.index(match[1]) + 1}"

        body = _PLACEHOLDER.sub(numbered, text)
        name = sql.Identifier(f"onemap_{self._made}")
        self._made += 1
        # psycopg2 fills in the settings; the statement itself holds no placeholder any more
        cursor.execute(settings + sql.SQL("PREPARE {} AS ").format(name) + sql.SQL(body.replace("%", "%%")), parameters)
        values = sql.SQL(", ").join(sql.Placeholder(each) for each in names)
        made = sql.SQL("EXECUTE {}").format(name) + (sql.SQL("({})").format(values) if names else sql.SQL(""))
        self.kept[text] = sql.SQL(made.as_string(self))
        if len(self.kept) > MOST:
            _, oldest = self.kept.popitem(last=False)
            cursor.execute("DEALLOCATE " + oldest.string.removeprefix("EXECUTE ").split("(")[0])
        return self.kept[text]
