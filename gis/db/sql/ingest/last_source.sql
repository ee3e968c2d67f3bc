-- The digest of the file that a layer was last published from.
SELECT b.sha256 FROM meta.batch_layer l JOIN meta.batch b ON b.id = l.batch
WHERE l.layer = %(layer)s AND b.status = 'published' AND b.kind = 'load' ORDER BY b.recorded_at DESC LIMIT 1
