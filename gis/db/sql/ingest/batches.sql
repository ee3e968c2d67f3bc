SELECT b.id, b.kind, b.status, b.mode, b.source, b.operator, b.started_at, b.recorded_at, b.finished_at, b.rollback_of, b.rolled_back_by, b.message,
       coalesce(sum(l.rows_read), 0)::bigint AS rows_read, coalesce(sum(l.rows_loaded), 0)::bigint AS rows_loaded,
       coalesce(sum(l.rows_rejected), 0)::bigint AS rows_rejected, coalesce(array_agg(DISTINCT l.layer) FILTER (WHERE l.layer IS NOT NULL), '{}') AS layers
FROM meta.batch b LEFT JOIN meta.batch_layer l ON l.batch = b.id
GROUP BY b.id ORDER BY b.id DESC LIMIT %(limit)s
