-- What was found, with the key and the place of its row where the finding itself has none.
WITH faulty AS MATERIALIZED (
  SELECT s.* FROM (SELECT * FROM {stage} UNION ALL SELECT * FROM {aside}) s
  WHERE s.src_row IN (SELECT src_row FROM found WHERE layer = %(layer)s AND src_row IS NOT NULL))
INSERT INTO meta.finding (batch, layer, code, level, src_row, key, field, value, message, remedy, geom)
SELECT %(batch)s, f.layer, f.code, f.level, f.src_row, coalesce(f.key, {key}), f.field, left(f.value, 500), f.message, f.remedy,
       ST_SetSRID(ST_Force2D(coalesce(f.geom, s.geom)), 4490)
FROM found f LEFT JOIN faulty s ON s.src_row = f.src_row
WHERE f.layer = %(layer)s
ORDER BY f.src_row, f.code
