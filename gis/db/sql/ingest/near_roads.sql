-- Of some positions (degrees): how many have a road's middle line within a distance (metres), as they are and displaced as given.
SELECT count(*) FILTER (WHERE EXISTS (
  SELECT FROM core.road r WHERE r.geom && ST_Expand(p, %(metres)s / 90000.0) AND ST_DWithin(r.geom::geography, p::geography, %(metres)s)))
FROM (SELECT ST_SetSRID(ST_MakePoint(x, y), 4490) AS p FROM unnest(%(x)s::float8[], %(y)s::float8[]) AS u (x, y)) s
