-- All checks of one row at a time: rows without a fault are passed over in one condition.
INSERT INTO found (layer, code, level, src_row, field, value, message, remedy)
SELECT {layer}, c.code, c.level, s.src_row, c.field, left(c.value, 500), c.message, c.remedy
FROM {stage} s CROSS JOIN LATERAL (VALUES
{each}
) AS c (code, level, field, value, message, remedy, bad)
WHERE ({any_bad}) AND c.bad
