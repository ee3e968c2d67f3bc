-- Each row with its quantity, its value in the stored unit, its flag, and the code of what is wrong with it.
CREATE TEMP TABLE judged AS
WITH known AS (
  SELECT o.*, s.sensor_id IS NOT NULL AS is_there, coalesce(n.id, CASE WHEN o.parameter IS NULL THEN k.quantity END) AS quantity,
         s.unit AS own_unit
  FROM observed o
  LEFT JOIN core.sensor s ON s.sensor_id = o.sensor_id
  LEFT JOIN jsonb_to_recordset(%(names)s) AS n(name text, id text) ON n.name = lower(o.parameter)
  LEFT JOIN jsonb_to_recordset(%(kinds)s) AS k(kind text, quantity text) ON k.kind = s.kind
), measured AS (
  SELECT r.*, coalesce(u.factor, own.factor, CASE WHEN r.unit IS NULL THEN 1 END) AS factor,
         coalesce(u.shift, own.shift, 0) AS shift, f.place AS flag, g.low, g.high
  FROM known r
  LEFT JOIN jsonb_to_recordset(%(units)s) AS u(quantity text, unit text, factor float8, shift float8) ON u.quantity = r.quantity AND u.unit = lower(r.unit)
  LEFT JOIN jsonb_to_recordset(%(units)s) AS own(quantity text, unit text, factor float8, shift float8)
         ON r.unit IS NULL AND own.quantity = r.quantity AND own.unit = lower(r.own_unit)
  LEFT JOIN jsonb_to_recordset(%(flags)s) AS f(name text, place smallint) ON f.name = lower(r.quality)
  LEFT JOIN jsonb_to_recordset(%(ranges)s) AS g(quantity text, low float8, high float8) ON g.quantity = r.quantity
), coded AS (
  SELECT *, value * factor + shift AS stored, CASE
    WHEN NOT is_there OR sensor_id IS NULL THEN 'OBS01'
    WHEN at IS NULL THEN 'OBS02'
    WHEN value IS NULL OR value = 'NaN' OR abs(value) = 'Infinity' THEN 'OBS03'
    WHEN quantity IS NULL THEN 'OBS04'
    WHEN factor IS NULL THEN 'OBS05'
    WHEN at > clock_timestamp() + interval '1 hour' OR at < '1970-01-01' THEN 'OBS06'
    WHEN quality IS NOT NULL AND flag IS NULL THEN 'OBS10' END AS fault
  FROM measured
)
SELECT src_row, sensor_id, parameter, at, value, unit, quality, at_text, value_text, quantity, stored,
       CASE WHEN fault IS NULL THEN greatest(coalesce(flag, 0), CASE WHEN stored < low OR stored > high THEN 1 ELSE 0 END) END::smallint AS flag,
       fault IS NULL AND (stored < low OR stored > high) AS implausible,
       CASE WHEN fault IS NOT NULL THEN fault
            WHEN lead(src_row) OVER same IS NOT NULL AND lead(stored) OVER same <> stored THEN 'OBS07'
            WHEN lead(src_row) OVER same IS NOT NULL THEN 'OBS08' END AS code
FROM coded
WINDOW same AS (PARTITION BY fault IS NULL, CASE WHEN fault IS NULL THEN sensor_id ELSE src_row::text END, quantity, at ORDER BY src_row)
