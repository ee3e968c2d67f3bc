SELECT layer, code, level, src_row, key, field, value, message, remedy, ST_AsBinary(geom)
FROM meta.finding WHERE batch = %(batch)s
ORDER BY array_position(ARRAY['fatal', 'error', 'warning', 'info'], level), layer, code, src_row
