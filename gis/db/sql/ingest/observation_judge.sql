-- Each row with its series, its value in the stored unit, its flag, and the code of what is wrong with it. NULL equals NULL where rows are
-- joined with what they say: a text that no file holds stands for it, since IS NOT DISTINCT FROM is not hashed.
CREATE TEMP TABLE judged AS
WITH coded AS (
  SELECT o.*, d.quantity, d.series, d.flag, d.low, d.high, o.value * d.factor + d.shift AS stored, CASE
    WHEN d.is_unknown THEN 'OBS01'
    WHEN o.at IS NULL THEN 'OBS02'
    WHEN o.value IS NULL OR o.value = 'NaN' OR abs(o.value) = 'Infinity' THEN 'OBS03'
    WHEN d.fault IS NOT NULL THEN d.fault
    WHEN o.at > %(latest)s OR o.at < '1970-01-01' THEN 'OBS06'
    WHEN d.has_unknown_flag THEN 'OBS10' END AS code
  FROM observed o JOIN described d
    ON coalesce(d.sensor_id, e'\x01') = coalesce(o.sensor_id, e'\x01') AND coalesce(d.parameter, e'\x01') = coalesce(o.parameter, e'\x01')
   AND coalesce(d.unit, e'\x01') = coalesce(o.unit, e'\x01') AND coalesce(d.quality, e'\x01') = coalesce(o.quality, e'\x01')
)
SELECT src_row, sensor_id, parameter, at, value, unit, quality, at_text, value_text, quantity, series, stored,
       CASE WHEN code IS NULL THEN greatest(coalesce(flag, 0), CASE WHEN stored < low OR stored > high THEN 1 ELSE 0 END) END::smallint AS flag,
       code IS NULL AND (stored < low OR stored > high) AS implausible, code
FROM coded
