CREATE TEMP TABLE incoming AS
SELECT s.series, j.at, j.stored AS value, j.flag AS quality
FROM judged j JOIN observed.series s ON s.sensor_id = j.sensor_id AND s.parameter = j.quantity
WHERE j.code IS NULL ORDER BY s.series, j.at
