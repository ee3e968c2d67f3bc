-- … and what it superseded is believed again, under its old number and batch.
INSERT INTO {core} ({columns}, geom, fid, batch, recorded_from)
SELECT {columns}, geom, fid, batch, %(recorded_at)s FROM {history} WHERE recorded_to = %(superseded_at)s
