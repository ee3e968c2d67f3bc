-- The rows that an error rejects, once each, with all codes that speak against them.
CREATE TEMP TABLE {rejected} ON COMMIT PRESERVE ROWS AS
SELECT src_row, array_agg(DISTINCT code ORDER BY code) AS codes,
       jsonb_object_agg(field, value) FILTER (WHERE field IS NOT NULL AND value IS NOT NULL AND code LIKE 'TYP%%') AS raw
FROM found WHERE layer = %(layer)s AND src_row IS NOT NULL AND level IN ('error', 'fatal') GROUP BY src_row
