"""One running load, step by step, over the one connection that holds its locks."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterable, Sequence

from psycopg2 import sql
from psycopg2.extras import execute_values

from gis.catalog import read as catalogue
from gis.catalog.model import Layer
from gis.ingest import changes, check, direct, evidence, publish, sources, stage, stream, whereabouts
from gis.ingest import map as mapping
from gis.ingest.delivery import Delivery, LoadResult, Progress, Rejected
from gis.ingest.findings import Findings
from gis.ingest.publish import Outcome
from gis.ingest.stage import Place
from gis.ingest.statements import key_text, statement, text
from gis.ingest.treatment import Treatment

_ROUNDS = 5
"""How often a delivery is published anew because rows that it retires were referred to; each round rejects those that refer."""
_SKETCH = "SET LOCAL default_statistics_target = 10; ANALYZE {}; SET LOCAL default_statistics_target TO DEFAULT"
"""Statistics of a stage that is read once: how many rows and how many different keys; what becomes the layer itself gets full ones."""
_STALE = 0.05
"""The share of changed rows from which a layer's statistics are made anew."""


class Run:
    """A load of one batch: stage, check, publish. Its layers are in an order in which references point backwards."""

    def __init__(self, connection, cursor, batch: int, deliveries: Sequence[Delivery], mode: str, dry_run: bool, progress: Progress,
                 files: list[sources.Kept], workers: int = 1, cluster=None):  # fmt: skip
        self.connection, self.cursor, self.batch, self.mode, self.dry_run = connection, cursor, batch, mode, dry_run
        self.deliveries, self.progress, self.files = ordered(deliveries), progress, files
        self.workers, self.cluster = workers, cluster
        self.begun = time.monotonic()
        self.read: dict[str, int] = {}
        self.places: dict[str, Place] = {}
        self.referred: dict[str, dict[str, set[str] | None]] = {}
        self.silent: dict[str, list[tuple[int, int, frozenset[str]]]] = defaultdict(list)
        """Fields that an update does not speak of, per layer and source: the number before its first row, its last row's, the fields."""
        self.neighbours = Findings()

    def run(self) -> LoadResult:
        """All steps. Raises Rejected."""
        self.cursor.execute(text("found"))
        for delivery in self.deliveries:
            self._stage(delivery)
        self.connection.commit()
        self._check()
        evidence.gather(self.cursor, self.deliveries)
        for _ in range(_ROUNDS):
            self._refuse_or_keep()
            outcomes = self._publish()
            if not self._dangling():
                self._keep_neighbours(outcomes)
                break
        else:
            self._refuse("refused: its rows refer to rows that it retires (REF)")
        self._finish(outcomes)
        return self._result("dry_run" if self.dry_run else "published", outcomes)

    # --- stage and check ---

    def _stage(self, delivery: Delivery) -> None:
        """Sources, one after the other, into their place; row numbers run on from one source to the next."""
        layer, rows = delivery.layer, 0
        place = self._place(delivery)
        if self.cluster is not None:
            self.cluster.begin(delivery.sources, self.files)
        referred = self.referred[layer.id] = {}
        for source in delivery.sources:
            how = mapping.mapping(layer, source, constants=delivery.constants, names=delivery.names)
            spoken = delivery.changes.of(source, how, self.mode)
            how = how.without(spoken.columns)
            if spoken.operation is not None:
                delivery.findings.add(layer.id, "CHG07", "info", f"{source.name}: operations are in this column", value=spoken.operation)
            silent = frozenset(layer.columns) - how.columns.keys() - how.constants.keys() if self.mode == "update" else frozenset()
            mapping.report(layer, source, how, delivery.findings, all_needed=self.mode != "update")
            treatment = Treatment(
                layer, catalogue.catalog(), mapping.Reading(source.crs, source.tabular), how, place,
                whereabouts.axes_swapped(layer, source, delivery.extent), rows,
                silent, spoken,
            )  # fmt: skip
            total = None if source.count is None else source.count + rows
            flow = stream.flow(
                self.cursor, source.batches() if self.cluster is None else self.cluster.batches(source), treatment, self.workers,
                lambda n, t=total, b=rows: self.progress(f"reading {layer.id}", n + b, t), self.cluster,
            )  # fmt: skip
            delivery.findings.take(flow.findings, before=rows)
            delivery.findings.take(source.findings, before=rows)
            for name, values in flow.referred.items():
                stream.refer(referred, name, values)
            if silent:
                self.silent[layer.id].append((rows, rows + flow.rows + source.findings.rows("SRC02"), silent))
            rows += flow.rows + source.findings.rows("SRC02")
        self.read[layer.id] = rows
        if rows == 0 and not delivery.scopes:
            delivery.findings.add(
                layer.id, "SRC01", "fatal", "the source holds no rows", "Deliver the rows; to take a delivery back use `onemap rollback`"
            )

    def _place(self, delivery: Delivery) -> Place:
        """An empty place for the rows of a delivery, and the tables beside it, for every connection to see."""
        layer = delivery.layer
        stage.empty(self.cursor, layer)
        direct.drop(self.cursor, layer.id)
        self.cursor.execute(statement("aside", layer))
        stage.await_suspects(self.cursor, layer)
        changes.begin(self.cursor, layer)
        is_large = sum(source.likely_rows for source in delivery.sources) > direct.ABOVE and self.mode != "update"
        place = direct.begin(self.cursor, layer) if is_large and direct.possible(self.cursor, layer) else stage.of(layer)
        self.places[layer.id] = delivery.place = place
        self.connection.commit()
        return place

    def _check(self) -> None:
        """All checks. Rejected rows leave their place before rows are compared with each other and references are looked at, so that
        nothing refers to a row that is not loaded."""
        for delivery in self.deliveries:
            check.keep(self.cursor, delivery.findings)
            stage.understand_suspects(self.cursor, delivery.layer)
        for delivery in self.deliveries:
            layer, place = delivery.layer, self.places[delivery.layer.id]
            self.progress(f"checking {layer.id}", 0, self.read[layer.id])
            if not place.typed:
                changes.part(self.cursor, layer, place)
                for before, last, fields in self.silent[layer.id]:
                    changes.complete(self.cursor, layer, before, last, fields, stage.suspects(layer).rows, place.rows)
            if delivery.judged:
                self._set_aside(layer)
            check.suspects(self.cursor, layer)
            whereabouts.implausible(self.cursor, delivery)
            self._set_aside(layer)
            stage.release(self.cursor, layer, place)
            self.cursor.execute(sql.SQL("ANALYZE {}" if place.typed else _SKETCH).format(sql.Identifier(*place.table)))
            check.together(self.cursor, layer, self.places, self.mode, but=self._index(delivery))
            if not place.typed:
                changes.check(self.cursor, layer, place, delivery.changes.cut)
            self._set_aside(layer)
        for delivery in self.deliveries:
            check.references(self.cursor, delivery.layer, self.places, self.referred[delivery.layer.id])
            self._set_aside(delivery.layer)

    def _index(self, delivery: Delivery) -> tuple[str, ...]:
        """Indexes an incoming table; answers the codes of the checks that its key has made superfluous. A key that occurs twice makes no
        index: then the check says which rows repeat it, and the index is made when they are gone."""
        layer = delivery.layer
        if not self.places[layer.id].typed or self.dry_run or self._is_refused():
            return ()
        self.connection.commit()
        self.progress(f"indexing {layer.id}", 0, self.read[layer.id])
        wanted = [one for one in direct.indexes(self.cursor, layer) if not one.late]
        self.connection.commit()
        twice = direct.index(wanted, self.workers)
        if not twice:
            return ("DUP",)
        check.together(self.cursor, layer, self.places, self.mode)
        self._set_aside(layer)
        self.connection.commit()
        direct.index(twice, self.workers)
        return ("DUP", "UNI")

    def _set_aside(self, layer: Layer) -> None:
        """Moves the rows that errors reject out of their place into `aside_<layer>`; `rejected_<layer>` lists them with their codes."""
        self.cursor.execute(sql.SQL("DROP TABLE IF EXISTS {}").format(sql.Identifier(f"rejected_{layer.id}")))
        self.cursor.execute(statement("rejected", layer), {"layer": layer.id})
        if self._rejected(layer):
            for rows in (stage.suspects(layer).rows, self.places[layer.id].rows, changes.retiring(layer)):
                self.cursor.execute(statement("set_aside", layer, stage=rows))

    def _rejected(self, layer: Layer) -> int:
        self.cursor.execute(sql.SQL("SELECT count(*) FROM {}").format(sql.Identifier(f"rejected_{layer.id}")))
        return self.cursor.fetchone()[0]

    # --- refuse or go on ---

    def _refuse_or_keep(self) -> None:
        """Writes findings and rejects, then refuses the delivery where a finding is fatal or a layer has more rejects than it allows."""
        self.cursor.execute(
            "DELETE FROM meta.finding WHERE batch = %(batch)s; DELETE FROM meta.reject WHERE batch = %(batch)s", {"batch": self.batch}
        )
        for delivery in self.deliveries:
            bound = {"batch": self.batch, "layer": delivery.layer.id}
            columns = sql.SQL(", ").join(sql.Identifier("s", c) for c in delivery.layer.columns)
            self.cursor.execute(statement("keep_findings", delivery.layer, stage=self.places[delivery.layer.id].rows), bound)
            self.cursor.execute(statement("keep_rejects", delivery.layer, columns=columns), bound)
        self.cursor.execute(text("keep_other_findings"), {"batch": self.batch, "layers": [d.layer.id for d in self.deliveries]})
        reason = self._is_refused()
        if reason:
            self._refuse(reason)
        self.connection.commit()

    def _is_refused(self) -> str | None:
        """Why the delivery cannot be published, as far as it has been checked."""
        self.cursor.execute("SELECT code, message FROM found WHERE level = 'fatal' ORDER BY layer, code LIMIT 1")
        fatal = self.cursor.fetchone()
        if fatal:
            return f"refused: {fatal[1]} ({fatal[0]})"
        for delivery in self.deliveries:
            layer, read = delivery.layer, self.read[delivery.layer.id]
            self.cursor.execute("SELECT to_regclass(%s) IS NOT NULL", (f"pg_temp.rejected_{layer.id}",))
            rejected = self._rejected(layer) if self.cursor.fetchone()[0] else 0
            if rejected > layer.source.max_rejected * read:
                return f"refused: {rejected} of {read} rows of {layer.id} are faulty; at most {layer.source.max_rejected:.0%} may be"
        return None

    def _refuse(self, reason: str) -> None:
        outcomes = [Outcome(d.layer.id, None, self.read[d.layer.id], 0, self.read[d.layer.id]) for d in self.deliveries]
        self.cursor.execute(
            "UPDATE meta.batch SET status = 'rejected', finished_at = clock_timestamp(), message = %s WHERE id = %s", (reason, self.batch)
        )
        self._count(outcomes)
        self._clear()
        self.connection.commit()
        raise Rejected(reason, self._result("rejected", outcomes))

    # --- publish ---

    def _publish(self) -> list[Outcome]:
        """The one transaction into core, not yet committed."""
        self.cursor.execute(text("record_batch"), {"batch": self.batch})
        recorded_at = self.cursor.fetchone()[0]
        outcomes = []
        for delivery in self.deliveries:
            layer = delivery.layer
            self.progress(f"publishing {layer.id}", 0, self.read[layer.id])
            scopes = self._scopes(delivery)
            place, read, rejected = self.places[layer.id], self.read[layer.id], self._rejected(layer)
            if place.typed:
                counts = {"new": read - rejected}
            else:
                counts = publish.publish(
                    self.cursor, layer, batch=self.batch, mode=self.mode, recorded_at=recorded_at, scopes=scopes, cut=delivery.changes.cut
                )
            outcomes.append(Outcome(
                layer.id, scopes[0] if len(scopes) == 1 else None, read, read - rejected, rejected,
                counts.get("new", 0), counts.get("changed", 0), counts.get("gone", 0), counts.get("same", 0), self._conflicts(layer),
            ))  # fmt: skip
        self.retired, self.recorded_at = sum(o.retired for o in outcomes), recorded_at
        return outcomes

    def _dangling(self) -> bool:
        """Whether published rows refer to rows that this delivery has just retired. Then the publication is undone and they are found
        faulty (`REF`), as if the retired rows had never been there."""
        if not self.retired:
            return False
        self.cursor.execute("SELECT layer, src_row, field FROM found WHERE code = 'REF'")
        before = set(self.cursor.fetchall())
        for delivery in self.deliveries:
            check.references(self.cursor, delivery.layer, self.places)
        self.cursor.execute("SELECT layer, src_row, field, code, level, key, value, message, remedy FROM found WHERE code = 'REF'")
        new = [row for row in self.cursor.fetchall() if row[:3] not in before]
        if not new:
            return False
        self.connection.rollback()
        self.cursor.executemany(
            "INSERT INTO found (layer, src_row, field, code, level, key, value, message, remedy)"
            " VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s)",
            new,
        )
        for delivery in self.deliveries:
            self._set_aside(delivery.layer)
        return True

    def _conflicts(self, layer: Layer) -> int:
        self.cursor.execute("SELECT count(*) FROM found WHERE layer = %s AND code = 'CHG05'", (layer.id,))
        return self.cursor.fetchone()[0]

    def _keep_neighbours(self, outcomes: list[Outcome]) -> None:
        """Rows of other layers, and rows that the delivery does not name, may refer to what it retires: where they cannot do without, the
        delivery is refused, else that is a finding of the batch. So it is where the new row was rejected: that is known already."""
        retired = {o.layer for o in outcomes if o.retired}
        findings, fatal = Findings(), False
        for layer in catalogue.catalog().vectors if retired else ():
            for name, column in layer.columns.items():
                target = (column.references or "").partition(".")[0]
                if target not in retired:
                    continue
                told = self._rejected_keys(layer) if layer.id in self.places else set()
                found = changes.neighbours(self.cursor, layer, name, catalogue.catalog().layer(target), told)
                needed = column.required and bool(found.strange)
                findings.refer(layer.id, name, found.strange, "fatal" if needed else "warning", found.strange_count)
                findings.refer(layer.id, name, found.told, "warning", found.told_count)
                fatal |= needed
        if fatal:
            self.connection.rollback()
        check.keep(self.cursor, findings)
        if fatal:
            self._refuse_or_keep()
        self.neighbours = findings
        self.cursor.execute(text("keep_neighbours"), {"batch": self.batch})

    def _rejected_keys(self, layer: Layer) -> set[str]:
        self.cursor.execute(sql.SQL("SELECT {} FROM {} s").format(key_text(layer, "s"), sql.Identifier(f"aside_{layer.id}")))
        return {row[0] for row in self.cursor.fetchall()}

    def _finish(self, outcomes: list[Outcome]) -> None:
        """Commits, or undoes a dry run; then the statistics of the planner."""
        if self.dry_run:
            self.cursor.execute(text("kept_rows"), {"batch": self.batch})
            kept = self.cursor.fetchall()  # found while publishing, which is undone: what would stay is told all the same
            self.connection.rollback()
            execute_values(self.cursor, text("keep_kept_rows"), kept)
            check.keep(self.cursor, self.neighbours)
            self.cursor.execute(text("keep_neighbours"), {"batch": self.batch})
            self.cursor.execute("UPDATE meta.batch SET status = 'dry_run', finished_at = clock_timestamp() WHERE id = %s", (self.batch,))
        else:
            self._keep_sources()
            for layer_id, place in self.places.items():
                if place.typed:
                    layer = next(d.layer for d in self.deliveries if d.layer.id == layer_id)
                    direct.publish(self.cursor, layer, place, batch=self.batch, recorded_at=self.recorded_at)
        self._count(outcomes)
        self.connection.commit()
        for outcome in outcomes if not self.dry_run else ():
            changed = outcome.inserted + outcome.updated + outcome.retired
            if changed and not self.places[outcome.layer].typed:
                self._analyze(outcome.layer, changed)
        self._clear()
        self.connection.commit()

    def _analyze(self, layer_id: str, changed: int) -> None:
        """Refreshes the planner's statistics where enough has changed that they may mislead it; the server itself looks after the rest."""
        table = sql.Identifier("core", layer_id)
        self.cursor.execute("SELECT reltuples FROM pg_class WHERE oid = %s::regclass", (f'core."{layer_id}"',))
        if changed > _STALE * self.cursor.fetchone()[0]:
            self.cursor.execute(sql.SQL("ANALYZE {}").format(table))

    def _scopes(self, delivery: Delivery) -> list[str]:
        """The scopes that the delivery speaks of; none for a layer without."""
        layer = delivery.layer
        if layer.scope is None:
            return []
        query = sql.SQL("SELECT DISTINCT {0} FROM (SELECT {0} FROM {1} UNION ALL SELECT {0} FROM {2}) d WHERE {0} IS NOT NULL")
        self.cursor.execute(query.format(sql.Identifier(layer.scope), self.places[layer.id].rows, sql.Identifier(f"aside_{layer.id}")))
        return sorted({row[0] for row in self.cursor.fetchall()} | set(delivery.scopes))

    def _count(self, outcomes: Iterable[Outcome]) -> None:
        for outcome in outcomes:
            self.cursor.execute(text("batch_layers"), {"batch": self.batch} | vars(outcome))

    def _keep_sources(self) -> None:
        for file in sources.keep(self.files):
            self.cursor.execute(
                "INSERT INTO meta.source (sha256, name, bytes) VALUES (%s, %s, %s) ON CONFLICT (sha256) DO NOTHING",
                (file.sha256, file.name, file.bytes),
            )

    def _clear(self) -> None:
        """The stage is empty between loads."""
        for delivery in self.deliveries:
            stage.empty(self.cursor, delivery.layer)
            direct.drop(self.cursor, delivery.layer.id)

    def _result(self, status: str, outcomes: list[Outcome]) -> LoadResult:
        self.cursor.execute("SELECT code, count(*) FROM meta.finding WHERE batch = %s GROUP BY code ORDER BY code", (self.batch,))
        findings = dict(self.cursor.fetchall())
        read, loaded, rejected = (sum(getattr(o, k) for o in outcomes) for k in ("rows_read", "rows_loaded", "rows_rejected"))
        return LoadResult(self.batch, read, loaded, rejected, findings, time.monotonic() - self.begun, status, outcomes)


def ordered(deliveries: Sequence[Delivery]) -> list[Delivery]:
    """Deliveries so that each comes after those that its fields refer to (as far as there is such an order)."""
    by_layer = {d.layer.id: d for d in deliveries}
    done: dict[str, Delivery] = {}

    def visit(delivery: Delivery, above: tuple[str, ...]) -> None:
        if delivery.layer.id in done or delivery.layer.id in above:
            return
        for column in delivery.layer.columns.values():
            target = (column.references or "").split(".")[0]
            if target in by_layer:
                visit(by_layer[target], (*above, delivery.layer.id))
        done[delivery.layer.id] = delivery

    for delivery in deliveries:
        visit(delivery, ())
    return list(done.values())
