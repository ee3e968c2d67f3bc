-- The first load: nothing to compare with.
INSERT INTO {core} ({columns}, geom, batch, recorded_from)
SELECT {staged_columns}, s.geom, %(batch)s, %(recorded_at)s
FROM {stage} s WHERE NOT EXISTS (SELECT FROM {rejected} r WHERE r.src_row = s.src_row) ORDER BY s.src_row
