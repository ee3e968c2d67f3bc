-- What the texts of the rows mean, once for each combination that occurs: a few hundred for millions of rows. `series` is one number for all
-- ways to name a sensor's quantity; nothing is stored under it.
CREATE TEMP TABLE described AS
WITH said AS (
  SELECT DISTINCT sensor_id, parameter, unit, quality FROM observed
), known AS (
  SELECT o.*, s.sensor_id IS NOT NULL AS is_there, coalesce(n.id, CASE WHEN o.parameter IS NULL THEN k.quantity END) AS quantity,
         s.unit AS own_unit
  FROM said o
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
)
SELECT sensor_id, parameter, unit, quality, quantity, factor, shift, flag, low, high,
       dense_rank() OVER (ORDER BY sensor_id, quantity)::int AS series,
       NOT is_there OR sensor_id IS NULL AS is_unknown,
       CASE WHEN quantity IS NULL THEN 'OBS04' WHEN factor IS NULL THEN 'OBS05' END AS fault,
       quality IS NOT NULL AND flag IS NULL AS has_unknown_flag
FROM measured
