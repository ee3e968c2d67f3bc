-- The middle of each road as its addresses show it, and how far the farthest of them lies from there, in metres.
-- Usage: gis/processes/geocode.py, where the number is not known; index: address.road btree.
WITH placed AS (
  SELECT road, geom FROM pub.address WHERE road = ANY (%(roads)s)),
middle AS (
  SELECT road, ST_SetSRID(ST_MakePoint(avg(ST_X(geom)), avg(ST_Y(geom))), 4490) AS geom FROM placed GROUP BY road)
SELECT m.road AS name, ST_X(m.geom) AS lon, ST_Y(m.geom) AS lat, round(max(ST_DistanceSphere(p.geom, m.geom))) AS radius_m
FROM middle m JOIN placed p USING (road)
GROUP BY m.road, m.geom
ORDER BY m.road
