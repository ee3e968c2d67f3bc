INSERT INTO {core} ({columns}, geom, batch, recorded_from)
SELECT {staged_columns}, s.geom, %(batch)s, %(recorded_at)s FROM {stage} s JOIN diff d USING (src_row) WHERE d.what = 'new' ORDER BY s.src_row
