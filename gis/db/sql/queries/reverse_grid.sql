-- The grid cell that holds a position.
-- Usage: gis/processes/reverse_geocode.py; index: grid_cell GiST.
SELECT grid_code, name FROM pub.grid_cell
WHERE geom && ST_SetSRID(ST_MakePoint(%(lon)s, %(lat)s), 4490) AND ST_Covers(geom, ST_SetSRID(ST_MakePoint(%(lon)s, %(lat)s), 4490))
  AND (valid_from IS NULL OR valid_from <= %(day)s) AND (valid_to IS NULL OR valid_to > %(day)s)
ORDER BY grid_code LIMIT 1
