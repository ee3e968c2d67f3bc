-- What a full delivery lacks because it did not exist yet, or was changed, when the delivery was cut.
WITH kept AS (
  UPDATE diff d SET what = 'kept' FROM {core} c
  WHERE d.what = 'gone' AND c.fid = d.fid AND c.recorded_from > %(cut)s RETURNING {key} AS key, c.batch, ST_Force2D(c.geom) AS geom)
INSERT INTO meta.finding (batch, layer, code, level, key, value, message, remedy, geom)
SELECT %(batch)s, %(layer)s, 'CHG05', 'warning', key, 'batch ' || batch,
       '提交中没有，但数据导出后已由他人更新，予以保留 / not in the delivery, but changed since it was cut: it stays', '核对后再提交 / compare, then deliver again', geom FROM kept
