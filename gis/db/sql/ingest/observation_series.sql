-- Series that are new.
INSERT INTO observed.series (sensor_id, parameter)
SELECT DISTINCT sensor_id, quantity FROM judged WHERE code IS NULL ON CONFLICT DO NOTHING
