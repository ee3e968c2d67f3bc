-- Findings about a whole file, where no stage is involved (rasters).
INSERT INTO meta.finding (batch, layer, code, level, src_row, key, field, value, message, remedy, geom)
SELECT %(batch)s, layer, code, level, src_row, key, field, left(value, 500), message, remedy, ST_SetSRID(ST_Force2D(geom), 4490) FROM found WHERE layer = %(layer)s
