-- Later batches that changed values of this one and were not taken back themselves.
SELECT DISTINCT b.id FROM observed.superseded h JOIN meta.batch b ON b.id = h.superseded_by
WHERE h.batch = %(of)s AND b.kind = 'load' AND b.rolled_back_by IS NULL ORDER BY 1
