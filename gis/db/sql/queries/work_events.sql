-- What became of a work: who changed what, and when.
SELECT id, at, was, becomes, changed, note, undoes, operator FROM works.work_event
WHERE work = %(id)s AND (%(moment)s::timestamptz IS NULL OR at <= %(moment)s) ORDER BY id
