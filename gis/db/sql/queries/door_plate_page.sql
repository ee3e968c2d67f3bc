-- What the page behind a plate's QR code shows: public facts only, no household, no officer's phone, nothing of retired plates.
SELECT p.address, p.number, p.road, p.police_station, p.code, p.state, g.name AS grid, c.name AS community
FROM pub.door_plate p
LEFT JOIN pub.grid_cell g ON g.grid_code = p.grid_code
LEFT JOIN pub.community c ON c.code = g.community_code
WHERE p.token = %(token)s AND p.state <> 'retired'
LIMIT 1
