-- Works, the newest first; of one network, in one state, or one of them.
SELECT id, kind, title, reason, network, element, element_id, stuck, lower(during) AS starts, upper(during) AS ends, state, operator,
       created_at, changed_at
FROM works.work
WHERE (%(id)s::bigint IS NULL OR id = %(id)s) AND (%(network)s::text IS NULL OR network = %(network)s)
  AND (%(states)s::text[] IS NULL OR state = ANY (%(states)s))
ORDER BY id DESC LIMIT %(limit)s
