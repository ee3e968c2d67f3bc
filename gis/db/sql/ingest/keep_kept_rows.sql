-- The same again, after what a dry run did was undone.
INSERT INTO meta.finding (batch, layer, code, level, src_row, key, field, value, message, remedy, geom) VALUES %s
