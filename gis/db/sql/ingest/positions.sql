-- How many rows have a position, and some of the positions that the checks may speak against.
SELECT (SELECT count(*) FROM {stage} WHERE geom IS NOT NULL) + (SELECT count(*) FROM {suspects} WHERE geom IS NOT NULL),
       coalesce(array_agg(ST_XMin(geom)), '{{}}'), coalesce(array_agg(ST_YMin(geom)), '{{}}')
FROM (SELECT geom FROM {suspects} WHERE geom IS NOT NULL AND NOT ST_IsEmpty(geom) LIMIT 1000) p
