-- Some of the staged positions, spread over the rows: points on lines and areas.
SELECT ST_X(p), ST_Y(p) FROM (
  SELECT ST_PointOnSurface(geom) AS p FROM {stage}
  WHERE geom IS NOT NULL AND NOT ST_IsEmpty(geom) AND ({number} * 2654435761) %% 1000003 < %(share)s * 1000003 LIMIT 400) s
