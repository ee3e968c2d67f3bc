-- All codes ever given in these grid cells, with the components of their addresses: a serial is never given twice.
-- Usage: gis/cli/doorplate.py issue.
SELECT DISTINCT p.code, a.road, a.lane, a.number, a.compound, a.building_no
FROM pub.door_plate_history p
LEFT JOIN pub.address a ON a.address_id = p.address_id
WHERE left(p.code, 15) = ANY (%(grids)s)
