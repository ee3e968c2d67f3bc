-- The valves that works of a network hold or held shut, in closing order; as it was known at a moment.
SELECT v.work, v.valve_id, v.position, v.closed_at,
       CASE WHEN %(moment)s::timestamptz IS NULL OR v.released_at <= %(moment)s THEN v.released_at END AS released_at
FROM works.work_valve v JOIN works.work w ON w.id = v.work
WHERE w.network = %(network)s AND (v.work = %(id)s OR v.released_at IS NULL OR v.released_at > %(moment)s::timestamptz)
  AND (%(moment)s::timestamptz IS NULL OR v.closed_at <= %(moment)s)
ORDER BY v.work, v.closed_at, v.position
