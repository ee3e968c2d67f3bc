-- Rejected rows whole, as they were delivered.
INSERT INTO meta.reject (batch, layer, src_row, codes, record)
SELECT %(batch)s, 'observation', src_row, ARRAY[code], jsonb_strip_nulls(jsonb_build_object('sensor_id', sensor_id, 'parameter', parameter,
       'at', coalesce(at_text, at::text), 'value', coalesce(value_text, value::text), 'unit', unit, 'quality', quality))
FROM judged WHERE code IS NOT NULL AND code <> 'OBS08'
