-- A value that cannot be believed, in a field that may be empty: the row is loaded without it.
UPDATE {stage} s SET {field} = NULL
FROM found f
WHERE f.layer = %(layer)s AND f.level = 'warning' AND f.code = ANY (%(codes)s) AND f.field = %(field)s AND f.src_row = s.src_row
