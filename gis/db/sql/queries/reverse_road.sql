-- The nearest road to a position, metres in the working CRS. See reverse_addresses for the two steps.
-- Usage: gis/processes/reverse_geocode.py; index: road GiST.
WITH here AS (
  SELECT ST_SetSRID(ST_MakePoint(%(lon)s, %(lat)s), 4490) AS degrees,
         ST_Transform(ST_SetSRID(ST_MakePoint(%(lon)s, %(lat)s), 4490), %(srid)s::int) AS metres),
near AS (
  SELECT r.road_id, r.name, ST_Distance(ST_Transform(r.geom, %(srid)s::int), here.metres) AS distance_m
  FROM pub.road r, here
  WHERE (r.valid_from IS NULL OR r.valid_from <= %(day)s) AND (r.valid_to IS NULL OR r.valid_to > %(day)s)
  ORDER BY r.geom <-> ST_SetSRID(ST_MakePoint(%(lon)s, %(lat)s), 4490) LIMIT 20)
SELECT road_id, name, distance_m FROM near ORDER BY distance_m, road_id LIMIT 1
