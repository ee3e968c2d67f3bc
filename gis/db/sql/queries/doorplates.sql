-- The addresses of some door-plates and the communities they lie in, for the list of those who lose water.
SELECT p.plate_id AS id, p.address, a.community
FROM pub.door_plate p LEFT JOIN pub.address a USING (address_id) WHERE p.plate_id = ANY (%(ids)s) ORDER BY p.plate_id
