-- The community that holds a position.
-- Usage: gis/processes/reverse_geocode.py; index: community GiST.
SELECT code, name FROM pub.community
WHERE geom && ST_SetSRID(ST_MakePoint(%(lon)s, %(lat)s), 4490) AND ST_Covers(geom, ST_SetSRID(ST_MakePoint(%(lon)s, %(lat)s), 4490))
  AND (valid_from IS NULL OR valid_from <= %(day)s) AND (valid_to IS NULL OR valid_to > %(day)s)
ORDER BY code LIMIT 1
