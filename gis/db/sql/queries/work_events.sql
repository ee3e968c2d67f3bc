-- What became of a work, and when.
SELECT at, was, becomes, operator FROM works.work_event WHERE work = %(id)s ORDER BY id
