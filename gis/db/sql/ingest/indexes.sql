-- Indexes and keys of a table, the key first: whether it is a constraint, its name, how to make it, its comment.
SELECT c.conname IS NOT NULL, coalesce(c.conname, r.relname), coalesce(pg_get_constraintdef(c.oid), pg_get_indexdef(i.indexrelid)),
       obj_description(i.indexrelid, 'pg_class')
FROM pg_index i JOIN pg_class r ON r.oid = i.indexrelid LEFT JOIN pg_constraint c ON c.conindid = i.indexrelid AND c.contype IN ('p', 'u')
WHERE i.indrelid = %(table)s::regclass ORDER BY i.indisprimary DESC, i.indexrelid
