-- Addresses that hold a text as it stands.
-- Usage: gis/processes/geocode.py; index: address.full_text trgm (LIKE).
SELECT address_id, full_text, level, plate_id, ST_X(geom) AS lon, ST_Y(geom) AS lat
FROM pub.address
WHERE full_text LIKE %(pattern)s
  AND stage NOT IN ('retired', 'rejected')
  AND (valid_from IS NULL OR valid_from <= %(day)s) AND (valid_to IS NULL OR valid_to > %(day)s)
LIMIT 50
