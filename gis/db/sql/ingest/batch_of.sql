SELECT id, kind, status, mode, source, sha256, bytes, operator, started_at, recorded_at, finished_at, message FROM meta.batch WHERE id = %(batch)s
