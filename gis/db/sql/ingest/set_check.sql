-- One check of the rows together.
INSERT INTO found (layer, code, level, src_row, key, field, value, message, remedy)
SELECT {layer}, {code}, {level}, q.src_row, q.key, {field}, left(q.value, 500), {message}, {remedy} FROM ({bad}) q
