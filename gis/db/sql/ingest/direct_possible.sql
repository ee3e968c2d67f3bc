-- Whether a layer's table can be exchanged for another one: it is empty, has the columns of its definition, and nothing hangs on it but
-- its two views, its own keys, and the policies that come with the grants.
SELECT NOT EXISTS (SELECT FROM {core})
   AND NOT EXISTS (SELECT FROM pg_trigger t WHERE t.tgrelid = r.oid)
   AND NOT EXISTS (SELECT FROM pg_constraint f WHERE f.contype = 'f' AND r.oid IN (f.conrelid, f.confrelid))
   AND NOT EXISTS (SELECT FROM pg_inherits i WHERE r.oid IN (i.inhrelid, i.inhparent))
   AND NOT EXISTS (SELECT FROM pg_publication_rel p WHERE p.prrelid = r.oid)
   AND NOT EXISTS (SELECT FROM pg_depend d JOIN pg_rewrite w ON d.classid = 'pg_rewrite'::regclass AND w.oid = d.objid
                   JOIN pg_class v ON v.oid = w.ev_class JOIN pg_namespace n ON n.oid = v.relnamespace
                   WHERE d.refobjid = r.oid AND v.oid <> r.oid
                     AND NOT (n.nspname = 'pub' AND v.relname = ANY (ARRAY[%(layer)s, %(layer)s || '_history'])))
   AND NOT EXISTS (SELECT FROM pg_policy p WHERE p.polrelid = r.oid AND p.polname NOT IN ('whole', 'part'))
   AND r.reloptions IS NULL AND r.relkind = 'r'
   AND %(columns)s::text[] = ARRAY(SELECT a.attname::text FROM pg_attribute a WHERE a.attrelid = r.oid AND a.attnum > 0 AND NOT a.attisdropped ORDER BY 1)
FROM pg_class r WHERE r.oid = %(core)s::regclass
