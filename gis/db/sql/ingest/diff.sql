-- What the delivery changes: new, changed, same, gone by key. `geom` is compared by its exact coordinates.
CREATE TEMP TABLE diff ON COMMIT DROP AS
SELECT s.src_row, c.fid,
       CASE WHEN c.fid IS NULL THEN 'new' WHEN s.src_row IS NULL THEN 'gone'
            WHEN ROW({staged_columns}, s.geom) IS DISTINCT FROM ROW({core_columns}, c.geom) THEN 'changed' ELSE 'same' END AS what
FROM {stage} s
{join} JOIN (SELECT * FROM {core} WHERE {in_scope}) c ON {same_key}
