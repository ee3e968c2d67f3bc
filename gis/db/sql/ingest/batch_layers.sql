-- What one delivery did to one layer, per scope of its rows (no scope: one row).
INSERT INTO meta.batch_layer (batch, layer, scope, rows_read, rows_loaded, rows_rejected, inserted, updated, retired, unchanged)
VALUES (%(batch)s, %(layer)s, %(scope)s, %(rows_read)s, %(rows_loaded)s, %(rows_rejected)s, %(inserted)s, %(updated)s, %(retired)s, %(unchanged)s)
