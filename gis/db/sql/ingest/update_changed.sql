UPDATE {core} c SET ({columns}, geom, batch, recorded_from) = ROW({staged_columns}, s.geom, %(batch)s, %(recorded_at)s)
FROM {stage} s JOIN diff d USING (src_row) WHERE d.what = 'changed' AND c.fid = d.fid
