WITH gone AS (DELETE FROM observed.value WHERE batch = %(of)s RETURNING *)
INSERT INTO observed.superseded (at, value, batch, series, quality, superseded_by)
SELECT at, value, batch, series, quality, %(undo)s FROM gone
