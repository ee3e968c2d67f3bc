-- Findings about layers that the delivery names but has no rows of.
INSERT INTO meta.finding (batch, layer, code, level, src_row, key, field, value, message, remedy, geom)
SELECT %(batch)s, layer, code, level, src_row, key, field, left(value, 500), message, remedy, ST_SetSRID(ST_Force2D(geom), 4490) FROM found WHERE layer <> ALL (%(layers)s)
