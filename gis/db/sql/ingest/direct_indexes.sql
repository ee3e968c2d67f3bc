-- The indexes of a layer's table as they are made on the incoming one, the costliest first: whether it is the key, whether it needs the
-- columns that are known only when the batch is published, its name, how to make it, its comment.
SELECT i.indisprimary,
       EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = i.indrelid AND a.attnum = ANY (i.indkey) AND a.attname IN ('batch', 'recorded_from')),
       x.relname,
       replace(pg_get_indexdef(x.oid), format(' ON %%I.%%I USING ', 'core', t.relname), format(' ON %%I.%%I USING ', 'incoming', t.relname)),
       obj_description(x.oid, 'pg_class')
FROM pg_index i JOIN pg_class x ON x.oid = i.indexrelid JOIN pg_class t ON t.oid = i.indrelid JOIN pg_am m ON m.oid = x.relam
WHERE i.indrelid = %(core)s::regclass
ORDER BY array_position(ARRAY['gin', 'gist', 'btree'], m.amname::text), NOT i.indisunique, x.relname
