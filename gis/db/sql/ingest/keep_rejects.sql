-- Rejected rows whole: the values as mapped, over them the raw texts of those that were of the wrong type, or the line as it stands.
INSERT INTO meta.reject (batch, layer, src_row, codes, record, geom)
SELECT %(batch)s, %(layer)s, r.src_row, r.codes,
       CASE WHEN s.src_row IS NULL THEN '{{}}' ELSE (SELECT to_jsonb(v) FROM (SELECT {columns}) v) END
         || coalesce(r.raw, '{{}}') || CASE WHEN l.line IS NULL THEN '{{}}' ELSE jsonb_build_object('line', l.line) END,
       s.geom
FROM {rejected} r
LEFT JOIN {aside} s USING (src_row)
LEFT JOIN (SELECT src_row, min(value) AS line FROM found WHERE layer = %(layer)s AND code = 'SRC02' GROUP BY src_row) l USING (src_row)
