-- The first load: nothing to compare with.
INSERT INTO {core} ({columns}, geom, batch, recorded_from)
SELECT {staged_columns}, s.geom, %(batch)s, %(recorded_at)s
FROM {stage} s ORDER BY s.src_row
