-- The old rows that stay because the new ones were rejected (LOD01), as they were found.
SELECT batch, layer, code, level, src_row, key, field, value, message, remedy, geom FROM meta.finding WHERE batch = %(batch)s AND code = 'LOD01'
