-- Addresses on these roads with this number, and the building, unit and room where they are given (null: any).
-- The shortest texts first: the gate before its rooms.
-- Usage: gis/processes/geocode.py; index: address.road btree.
SELECT address_id, full_text, level, plate_id, ST_X(geom) AS lon, ST_Y(geom) AS lat
FROM pub.address
WHERE road = ANY (%(roads)s)
  AND (%(numbers)s::text[] IS NULL OR number = ANY (%(numbers)s))
  AND (%(buildings)s::text[] IS NULL OR building_no = ANY (%(buildings)s))
  AND (%(units)s::text[] IS NULL OR unit = ANY (%(units)s))
  AND (%(rooms)s::text[] IS NULL OR room = ANY (%(rooms)s))
  AND stage NOT IN ('retired', 'rejected')
  AND (valid_from IS NULL OR valid_from <= %(day)s) AND (valid_to IS NULL OR valid_to > %(day)s)
ORDER BY length(full_text), address_id
LIMIT %(limit)s
