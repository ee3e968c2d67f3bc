-- Operations that do not fit what is there.
INSERT INTO found (layer, code, level, src_row, key, message, remedy)
SELECT %(layer)s, 'CHG02', 'error', s.src_row, {key}, '要新增的编号已存在且内容不同 / to be inserted, but it is there with other values',
       '改为修改，或改正编号 / modify it, or correct the key'
FROM {stage} s JOIN {change} o ON o.src_row = s.src_row AND o.op = 'I' JOIN {core} c ON {same_key}
WHERE ROW({staged_columns}, s.geom) IS DISTINCT FROM ROW({core_columns}, c.geom)
UNION ALL
SELECT %(layer)s, 'CHG03', 'error', s.src_row, {key}, '要修改的编号不存在 / to be modified, but it is not there', '改为新增，或改正编号 / insert it, or correct the key'
FROM {stage} s JOIN {change} o ON o.src_row = s.src_row AND o.op = 'U' WHERE NOT EXISTS (SELECT FROM {core} c WHERE {same_key})
UNION ALL
SELECT %(layer)s, CASE WHEN past THEN 'CHG04' ELSE 'CHG03' END, CASE WHEN past THEN 'info' ELSE 'error' END, s.src_row, {key},
       CASE WHEN past THEN '该记录此前已注销 / to be retired, but it was retired before' ELSE '要注销的编号不存在 / to be retired, but it is not there' END,
       CASE WHEN past THEN '无需处理 / nothing is to be done' ELSE '改正编号 / correct the key' END
FROM (SELECT s.*, EXISTS (SELECT FROM {history} c WHERE {same_key}) AS past FROM {retiring} s WHERE NOT EXISTS (SELECT FROM {core} c WHERE {same_key})) s
UNION ALL
SELECT %(layer)s, 'CHG06', 'error', s.src_row, {key}, '同一编号在变更集中出现多次 / the key stands in the change set twice', '保留一条 / keep one of the rows'
FROM (SELECT s.*, row_number() OVER (PARTITION BY {own_key} ORDER BY s.src_row) AS nth FROM {retiring} s) s
WHERE s.nth > 1 OR EXISTS (SELECT FROM {stage} c WHERE {same_key})
