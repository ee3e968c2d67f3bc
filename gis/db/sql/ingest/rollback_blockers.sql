-- Later published batches that changed a layer and scope of this batch and were not rolled back themselves.
SELECT DISTINCT later.id, later.recorded_at
FROM meta.batch_layer mine
JOIN meta.batch this ON this.id = mine.batch
JOIN meta.batch_layer theirs ON theirs.layer = mine.layer AND (theirs.scope IS NOT DISTINCT FROM mine.scope OR theirs.scope IS NULL OR mine.scope IS NULL)
JOIN meta.batch later ON later.id = theirs.batch AND later.status = 'published' AND later.recorded_at > this.recorded_at
WHERE mine.batch = %(batch)s AND later.kind <> 'rollback' AND later.rolled_back_by IS NULL
  AND theirs.inserted + theirs.updated + theirs.retired > 0
ORDER BY 1
