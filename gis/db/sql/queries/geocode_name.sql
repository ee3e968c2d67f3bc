-- Addresses and places by the name of what is there (县医院, 人民公园), exactly or as a part of it; exact ones first.
-- Usage: gis/processes/geocode.py; indexes: address.name trgm, place_name.name trgm.
SELECT * FROM (
  (SELECT address_id, full_text, level, plate_id, ST_X(geom) AS lon, ST_Y(geom) AS lat, name
   FROM pub.address
   WHERE name LIKE %(pattern)s AND stage NOT IN ('retired', 'rejected')
     AND (valid_from IS NULL OR valid_from <= %(day)s) AND (valid_to IS NULL OR valid_to > %(day)s)
   LIMIT 50)
  UNION ALL
  (SELECT NULL, name, 'place', NULL, ST_X(geom), ST_Y(geom), name
   FROM pub.place_name
   WHERE (name LIKE %(pattern)s OR %(text)s = ANY (aliases)) AND kind <> 'road'
     AND (valid_from IS NULL OR valid_from <= %(day)s) AND (valid_to IS NULL OR valid_to > %(day)s)
   LIMIT 50)
) AS found
ORDER BY name <> %(text)s, length(name), full_text
LIMIT 50
