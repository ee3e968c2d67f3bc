-- Door-plates with what a notice sorts them by: community, compound, road and number, building.
SELECT p.plate_id AS id, p.address, p.building_id, a.community, a.compound, a.road || coalesce(a.lane, '') AS road, a.number, a.building_no
FROM pub.door_plate p LEFT JOIN pub.address a USING (address_id)
WHERE p.plate_id = ANY (%(ids)s)
