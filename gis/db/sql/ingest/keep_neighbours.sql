-- Findings about rows that no delivery names.
INSERT INTO meta.finding (batch, layer, code, level, key, field, value, message, remedy, geom)
SELECT %(batch)s, layer, code, level, key, field, left(value, 500), message, remedy, ST_SetSRID(ST_Force2D(geom), 4490) FROM found WHERE code = 'LOD03'
