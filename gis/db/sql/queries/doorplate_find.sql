-- Door-plates by their code, their token, their id, or the id of their address.
-- Usage: gis/cli/doorplate.py resolve, qr; indexes: door_plate btree on code, token, address_id.
SELECT plate_id, code, address_id, address, kind, road, number, side, police_station, grid_code, state, installed_on, token,
       ST_X(geom) AS lon, ST_Y(geom) AS lat
FROM pub.door_plate
WHERE plate_id = %(name)s OR code = %(code)s OR token = %(name)s OR address_id = %(name)s
ORDER BY plate_id
LIMIT 100
