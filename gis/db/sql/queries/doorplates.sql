-- The addresses of some door-plates, for the list of those who lose water.
SELECT plate_id AS id, address FROM pub.door_plate WHERE plate_id = ANY (%(ids)s) ORDER BY plate_id
