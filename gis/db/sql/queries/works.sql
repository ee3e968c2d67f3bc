-- Works, the newest first; of one network, in one state, in force within a time, or one of them; as they were known at a moment.
SELECT * FROM (
  SELECT w.id, w.kind, coalesce(later.title, w.title) AS title, coalesce(later.reason, w.reason) AS reason, w.network, w.element, w.element_id,
         CASE WHEN later.stuck IS NULL THEN w.stuck ELSE ARRAY (SELECT jsonb_array_elements_text(later.stuck)) END AS stuck, coalesce(later.starts, lower(w.during)) AS starts, coalesce(later.ends, upper(w.during)) AS ends,
         known.becomes AS state, known.operator, known.note, w.created_at, known.at AS changed_at
  FROM works.work w
  JOIN LATERAL (SELECT becomes, operator, note, at FROM works.work_event e
                WHERE e.work = w.id AND (%(moment)s::timestamptz IS NULL OR e.at <= %(moment)s) ORDER BY e.id DESC LIMIT 1) known ON true
  LEFT JOIN LATERAL (  -- what later changes replaced
    SELECT (array_agg(e.changed->'title'->>0 ORDER BY e.id) FILTER (WHERE e.changed ? 'title'))[1] AS title,
           (array_agg(e.changed->'reason'->>0 ORDER BY e.id) FILTER (WHERE e.changed ? 'reason'))[1] AS reason,
           (array_agg(e.changed->'stuck'->0 ORDER BY e.id) FILTER (WHERE e.changed ? 'stuck'))[1] AS stuck,
           (array_agg((e.changed->'starts'->>0)::timestamptz ORDER BY e.id) FILTER (WHERE e.changed ? 'starts'))[1] AS starts,
           (array_agg((e.changed->'ends'->>0)::timestamptz ORDER BY e.id) FILTER (WHERE e.changed ? 'ends'))[1] AS ends
    FROM works.work_event e WHERE e.work = w.id AND %(moment)s::timestamptz IS NOT NULL AND e.at > %(moment)s) later ON true
) w
WHERE (%(id)s::bigint IS NULL OR id = %(id)s) AND (%(network)s::text IS NULL OR network = %(network)s)
  AND (%(states)s::text[] IS NULL OR state = ANY (%(states)s))
  AND (%(after)s::timestamptz IS NULL OR ends > %(after)s) AND (%(before)s::timestamptz IS NULL OR starts < %(before)s)
ORDER BY id DESC LIMIT %(limit)s
