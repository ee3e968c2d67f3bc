-- Series that are new.
INSERT INTO observed.series (sensor_id, parameter)
SELECT DISTINCT d.sensor_id, d.quantity FROM described d JOIN (SELECT DISTINCT series FROM judged WHERE code IS NULL) j USING (series)
ON CONFLICT DO NOTHING
