-- The water networks with how many pipes they have and where they lie; the city's own first.
SELECT network, count(*) AS pipes, ST_XMin(ST_Extent(geom)) AS west, ST_YMin(ST_Extent(geom)) AS south,
       ST_XMax(ST_Extent(geom)) AS east, ST_YMax(ST_Extent(geom)) AS north
FROM pub.water_pipe GROUP BY network ORDER BY network <> 'city', network
