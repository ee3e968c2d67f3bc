-- The valves that works of a network hold or held shut, in closing order.
SELECT v.work, v.valve_id, v.position, v.closed_at, v.released_at
FROM works.work_valve v JOIN works.work w ON w.id = v.work
WHERE w.network = %(network)s AND (v.released_at IS NULL OR v.work = %(id)s)
ORDER BY v.work, v.position
