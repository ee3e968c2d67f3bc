-- The batch whose raster a layer shows: the newest that is published and not taken back; its file and its source.
SELECT b.id, r.sha256, b.sha256, r.crs
FROM meta.batch_layer l JOIN meta.batch b ON b.id = l.batch LEFT JOIN meta.raster r ON r.batch = b.id
WHERE l.layer = %(layer)s AND b.status = 'published' AND b.kind = 'load' AND b.rolled_back_by IS NULL AND b.id IS DISTINCT FROM %(without)s
      AND l.inserted + l.updated > 0
ORDER BY b.recorded_at DESC LIMIT 1
