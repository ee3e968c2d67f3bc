-- Append adds: a key that is there with other values is no addition. The same row once more changes nothing.
INSERT INTO found (layer, code, level, src_row, message, remedy)
SELECT %(layer)s, 'LOD02', 'error', s.src_row, '编号已存在且内容不同 / the key is there already, with other values',
       '使用 update 模式，或改正编号 / use mode update, or correct the key'
FROM {stage} s JOIN {core} c ON {same_key}
WHERE ROW({staged_columns}, s.geom) IS DISTINCT FROM ROW({core_columns}, c.geom)
