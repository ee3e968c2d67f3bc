-- What sensors observed: one narrow row per value, found by series (a sensor's parameter) and time. Millions of rows a year: the key is the
-- only tree; batch and time are found by BRIN, for rows come in their order.
CREATE SCHEMA observed;
COMMENT ON SCHEMA observed IS 'What sensors observed: no layer, for it has no features';

CREATE TABLE observed.series (
  series    int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  sensor_id text NOT NULL,
  parameter text NOT NULL,
  UNIQUE (sensor_id, parameter)
);
COMMENT ON TABLE observed.series IS 'A sensor''s parameter; series stay where a sensor goes, so that what it observed is not lost';

CREATE TABLE observed.value (
  at      timestamptz NOT NULL,
  value   double precision NOT NULL,
  batch   bigint NOT NULL,
  series  int NOT NULL,
  quality smallint NOT NULL DEFAULT 0 CHECK (quality BETWEEN 0 AND 3),
  PRIMARY KEY (series, at)
) WITH (autovacuum_vacuum_insert_scale_factor = 0.05);
COMMENT ON TABLE observed.value IS '监测数据：感知设备的观测值';
COMMENT ON COLUMN observed.value.quality IS '0 good, 1 suspect, 2 estimated, 3 bad';
-- Usage: what a delivery put in, when it is taken back
CREATE INDEX observation_batch ON observed.value USING brin (batch);
-- Usage: all values of a time
CREATE INDEX observation_at ON observed.value USING brin (at);

CREATE TABLE observed.superseded (
  at            timestamptz NOT NULL,
  value         double precision NOT NULL,
  batch         bigint NOT NULL,
  series        int NOT NULL,
  quality       smallint NOT NULL,
  superseded_by bigint NOT NULL
);
COMMENT ON TABLE observed.superseded IS 'Values that a later delivery corrected, or that were taken back; by which batch';
-- Usage: what a delivery superseded, when it is taken back
CREATE INDEX observation_superseded ON observed.superseded (superseded_by);
-- Usage: which later delivery changed what a delivery put in
CREATE INDEX observation_history_batch ON observed.superseded (batch);

-- Who sees the sensors sees what they observed. The tables' schema is closed to readers: they come through the views, which ask as them.
CREATE FUNCTION meta.may_read_observations() RETURNS boolean LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog AS $$
  SELECT to_regclass('pub.sensor') IS NOT NULL AND meta.may_read('sensor')
$$;
ALTER TABLE observed.value ENABLE ROW LEVEL SECURITY;
ALTER TABLE observed.series ENABLE ROW LEVEL SECURITY;
CREATE POLICY of_sensors ON observed.value FOR SELECT USING ((SELECT meta.may_read_observations()));
CREATE POLICY of_sensors ON observed.series FOR SELECT USING ((SELECT meta.may_read_observations()));
CREATE VIEW pub.observation WITH (security_invoker) AS SELECT at, value, batch, series, quality FROM observed.value;
CREATE VIEW pub.observation_series WITH (security_invoker) AS SELECT series, sensor_id, parameter FROM observed.series;

REVOKE ALL ON FUNCTION meta.may_read_observations FROM PUBLIC;
GRANT EXECUTE ON FUNCTION meta.may_read_observations TO onemap_anonymous, onemap_planner, onemap_water, onemap_drainage, onemap_gas,
      onemap_heat, onemap_power, onemap_telecom, onemap_address, onemap_admin;
GRANT SELECT ON observed.value, observed.series, pub.observation, pub.observation_series
  TO onemap_anonymous, onemap_planner, onemap_water, onemap_drainage, onemap_gas, onemap_heat, onemap_power, onemap_telecom,
     onemap_address, onemap_admin;
