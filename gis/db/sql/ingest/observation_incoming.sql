CREATE TEMP TABLE incoming AS
SELECT s.series, j.at, j.stored AS value, j.flag AS quality
FROM judged j
JOIN (SELECT DISTINCT series, sensor_id, quantity FROM described) d USING (series)
JOIN observed.series s ON s.sensor_id = d.sensor_id AND s.parameter = d.quantity
WHERE j.code IS NULL ORDER BY s.series, j.at
