-- The names that split an address: (kind, name as typed, name in the address data). Distinct values by walking the B-tree
-- from one value to the next, because DISTINCT would read every address.
-- Usage: gis/processes/geocode.py; indexes: address btree on town, community, road, compound.
WITH RECURSIVE
town AS (
  (SELECT min(town) AS name FROM pub.address)
  UNION ALL SELECT (SELECT min(a.town) FROM pub.address a WHERE a.town > t.name) FROM town t WHERE t.name IS NOT NULL),
community AS (
  (SELECT min(community) AS name FROM pub.address)
  UNION ALL SELECT (SELECT min(a.community) FROM pub.address a WHERE a.community > t.name) FROM community t WHERE t.name IS NOT NULL),
road AS (
  (SELECT min(road) AS name FROM pub.address)
  UNION ALL SELECT (SELECT min(a.road) FROM pub.address a WHERE a.road > t.name) FROM road t WHERE t.name IS NOT NULL),
compound AS (
  (SELECT min(compound) AS name FROM pub.address)
  UNION ALL SELECT (SELECT min(a.compound) FROM pub.address a WHERE a.compound > t.name) FROM compound t WHERE t.name IS NOT NULL)
SELECT 'area' AS kind, name AS typed, name FROM town WHERE name IS NOT NULL
UNION SELECT 'area', name, name FROM community WHERE name IS NOT NULL
UNION SELECT 'area', name, name FROM pub.admin_area
UNION SELECT 'area', part, part
FROM (SELECT province, city, county FROM pub.address LIMIT 1) AS any_address, unnest(ARRAY[province, city, county]) AS part
UNION SELECT 'road', name, name FROM road WHERE name IS NOT NULL
UNION SELECT 'road', unnest(aliases), name FROM pub.place_name WHERE kind = 'road'
UNION SELECT 'compound', name, name FROM compound WHERE name IS NOT NULL
UNION SELECT 'compound', unnest(aliases), name FROM pub.place_name WHERE kind = 'compound'
