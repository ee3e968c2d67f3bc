-- Rows that others changed since the delivery was cut: both values are said, and nothing is overwritten.
INSERT INTO found (layer, code, level, src_row, key, field, value, message, remedy)
SELECT %(layer)s, 'CHG05', 'error', d.src_row, d.key, (SELECT string_agg(k, ', ' ORDER BY k) FROM jsonb_object_keys(d.differing) k), d.differing::text,
       '数据导出后该记录已被批次 ' || d.batch || ' 修改 / changed by batch ' || d.batch || ' since the delivery was cut',
       '核对两个值（提交值、现值）后重新提交 / compare both values (delivered, present), then deliver again'
FROM (
  SELECT s.src_row, {key} AS key, c.batch,
         coalesce((SELECT jsonb_object_agg(a.key, jsonb_build_array(a.value, b.value))
                   FROM jsonb_each((SELECT to_jsonb(v) FROM (SELECT {staged_columns}) v)) a
                   JOIN jsonb_each((SELECT to_jsonb(v) FROM (SELECT {core_columns}) v)) b USING (key) WHERE a.value IS DISTINCT FROM b.value), '{{}}')
         || CASE WHEN s.geom IS DISTINCT FROM c.geom
                 THEN jsonb_build_object('geom', jsonb_build_array(left(ST_AsText(s.geom, 9), 100), left(ST_AsText(c.geom, 9), 100))) ELSE '{{}}' END AS differing
  FROM {stage} s JOIN {core} c ON {same_key} LEFT JOIN {change} o ON o.src_row = s.src_row
  WHERE (c.recorded_from > %(cut)s OR (o.version ~ '^[0-9]{{1,18}}$' AND c.batch <> o.version::bigint))
    AND ROW({staged_columns}, s.geom) IS DISTINCT FROM ROW({core_columns}, c.geom)
  UNION ALL
  SELECT s.src_row, {key}, c.batch, jsonb_build_object('operation', jsonb_build_array('D', 'batch ' || c.batch))
  FROM {retiring} s JOIN {core} c ON {same_key} LEFT JOIN {change} o ON o.src_row = s.src_row
  WHERE c.recorded_from > %(cut)s OR (o.version ~ '^[0-9]{{1,18}}$' AND c.batch <> o.version::bigint)) d
