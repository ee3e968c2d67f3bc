-- Rejected rows whole: the values as mapped, over them the raw texts of those that were of the wrong type.
INSERT INTO meta.reject (batch, layer, src_row, codes, record, geom)
SELECT %(batch)s, %(layer)s, r.src_row, r.codes,
       CASE WHEN s.src_row IS NULL THEN '{{}}' ELSE (SELECT to_jsonb(v) FROM (SELECT {columns}) v) END
         || coalesce(r.raw, '{{}}')
         || coalesce((SELECT jsonb_build_object('line', f.value) FROM found f
                      WHERE f.layer = %(layer)s AND f.src_row = r.src_row AND f.code = 'SRC02' LIMIT 1), '{{}}'),
       s.geom
FROM {rejected} r LEFT JOIN {aside} s USING (src_row)
