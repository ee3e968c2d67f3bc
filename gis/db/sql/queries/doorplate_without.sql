-- Addresses in service that have no door-plate, with the grid cell that holds them, in the order in which plates are numbered.
-- Usage: gis/cli/doorplate.py issue; indexes: door_plate.address_id btree, grid_cell GiST, address.community_code btree.
SELECT a.address_id, a.full_text, a.level, a.road, a.lane, a.number, a.compound, a.building_no, a.unit, a.community_code,
       a.building_id, g.grid_code, ST_X(a.geom) AS lon, ST_Y(a.geom) AS lat
FROM pub.address a
LEFT JOIN LATERAL (
  SELECT c.grid_code FROM pub.grid_cell c
  WHERE c.geom && a.geom AND ST_Covers(c.geom, a.geom)
    AND (c.valid_from IS NULL OR c.valid_from <= %(day)s) AND (c.valid_to IS NULL OR c.valid_to > %(day)s)
  ORDER BY c.grid_code LIMIT 1) AS g ON TRUE
WHERE (%(community)s::text IS NULL OR a.community_code = %(community)s)
  AND a.stage = 'current'
  AND (a.valid_from IS NULL OR a.valid_from <= %(day)s) AND (a.valid_to IS NULL OR a.valid_to > %(day)s)
  AND NOT EXISTS (SELECT 1 FROM pub.door_plate p WHERE p.address_id = a.address_id AND p.state <> 'retired')
ORDER BY g.grid_code, a.road, a.lane, length(a.number), a.number, length(a.building_no) NULLS FIRST, a.building_no NULLS FIRST,
         array_position(ARRAY['gate', 'building', 'unit', 'room'], a.level), a.unit, a.floor, a.room, a.address_id
LIMIT %(limit)s
