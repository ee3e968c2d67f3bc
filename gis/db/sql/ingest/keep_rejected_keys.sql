-- A key whose new row was rejected keeps its old row; that is a finding of the batch.
WITH kept AS (
  UPDATE diff d SET what = 'kept' FROM {core} c, {aside} s
  WHERE d.what = 'gone' AND c.fid = d.fid AND {same_key} RETURNING s.src_row, {key} AS key, ST_Force2D(c.geom) AS geom)
INSERT INTO meta.finding (batch, layer, code, level, src_row, key, message, remedy, geom)
SELECT %(batch)s, %(layer)s, 'LOD01', 'info', src_row, key, 'the new row was rejected; the old one stays', 'Correct the row and deliver again', geom FROM kept
