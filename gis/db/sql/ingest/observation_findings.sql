-- What was found: rows that are rejected, rows that say what another one said, values that cannot well be.
INSERT INTO meta.finding (batch, layer, code, level, src_row, key, field, value, message, remedy)
SELECT %(batch)s, 'observation', f.code, f.level, j.src_row, j.sensor_id, f.field, left(CASE f.field
         WHEN 'sensor_id' THEN j.sensor_id WHEN 'at' THEN coalesce(j.at_text, j.at::text) WHEN 'parameter' THEN j.parameter
         WHEN 'unit' THEN j.unit WHEN 'quality' THEN j.quality ELSE coalesce(j.value_text, j.value::text) END, 500), f.message, f.remedy
FROM (SELECT * FROM judged WHERE code IS NOT NULL OR implausible) j JOIN jsonb_to_recordset(%(codes)s) AS f(code text, level text, field text, message text, remedy text)
  ON f.code = j.code OR (f.code = 'OBS09' AND j.implausible)
ORDER BY j.src_row
