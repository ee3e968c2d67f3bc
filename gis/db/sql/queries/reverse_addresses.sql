-- The nearest addresses to a position, metres in the working CRS. The index orders by degrees, which are shorter from west
-- to east: so the first answer only says how far to look, and everything within that distance is compared in metres.
-- Of addresses at one distance the gate comes before its rooms.
-- Usage: gis/processes/reverse_geocode.py; index: address GiST.
WITH here AS (
  SELECT ST_SetSRID(ST_MakePoint(%(lon)s, %(lat)s), 4490) AS degrees,
         ST_Transform(ST_SetSRID(ST_MakePoint(%(lon)s, %(lat)s), 4490), %(srid)s::int) AS metres),
first AS (
  SELECT a.geom FROM pub.address a
  WHERE (a.valid_from IS NULL OR a.valid_from <= %(day)s) AND (a.valid_to IS NULL OR a.valid_to > %(day)s)
    AND a.stage NOT IN ('retired', 'rejected')
  ORDER BY a.geom <-> ST_SetSRID(ST_MakePoint(%(lon)s, %(lat)s), 4490) LIMIT %(limit)s),
reach AS (
  SELECT ST_Expand(here.degrees, 1.01 * max(ST_Distance(ST_Transform(first.geom, %(srid)s::int), here.metres)) / (111000 * cos(radians(%(lat)s)))
                   + 1e-7) AS box
  FROM first, here GROUP BY here.degrees)
SELECT a.address_id, a.full_text, a.level, a.plate_id, ST_X(a.geom) AS lon, ST_Y(a.geom) AS lat,
       ST_Distance(ST_Transform(a.geom, %(srid)s::int), here.metres) AS distance_m
FROM pub.address a, here, reach
WHERE a.geom && reach.box
  AND (a.valid_from IS NULL OR a.valid_from <= %(day)s) AND (a.valid_to IS NULL OR a.valid_to > %(day)s)
  AND a.stage NOT IN ('retired', 'rejected')
ORDER BY distance_m, array_position(ARRAY['gate', 'building', 'unit', 'room'], a.level), a.full_text
LIMIT %(limit)s
