-- Whoever rights leave some of the sensors reads what these observed: the policies of the sensors themselves decide which they are. A right
-- that leaves columns of the sensors only leaves no observations: they are none of those columns. Policies for these roles alone, so that they
-- cost the others nothing.
CREATE FUNCTION access.leaves_columns(in_layer text) RETURNS boolean LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog AS $$
  SELECT EXISTS (SELECT FROM access.rights_of(access.base_role(), coalesce(current_setting('app.user', true), ''), in_layer) r
                 WHERE r.in_force AND r.columns IS NOT NULL)
$$;
COMMENT ON FUNCTION access.leaves_columns IS 'Whether a right leaves who asks only some columns of the layer';

-- Asks as its caller. The view may not be there yet when this is made.
CREATE FUNCTION meta.seen_sensors() RETURNS text[] LANGUAGE plpgsql STABLE SET search_path = pg_catalog AS $$
BEGIN
  IF to_regclass('pub.sensor') IS NULL OR access.leaves_columns('sensor') THEN
    RETURN '{}';
  END IF;
  IF NOT has_column_privilege(to_regclass('pub.sensor'), 'sensor_id', 'SELECT') THEN
    RETURN '{}';
  END IF;
  RETURN ARRAY(SELECT s.sensor_id FROM pub.sensor s);
END $$;
COMMENT ON FUNCTION meta.seen_sensors IS 'The sensors that the asking role and user see';

CREATE POLICY of_part ON observed.series FOR SELECT
  TO onemap_part_planner, onemap_part_water, onemap_part_drainage, onemap_part_gas, onemap_part_heat, onemap_part_power, onemap_part_telecom,
     onemap_part_address, onemap_part_admin
  USING (sensor_id = ANY ((SELECT meta.seen_sensors())::text[]));
CREATE POLICY of_part ON observed.value FOR SELECT
  TO onemap_part_planner, onemap_part_water, onemap_part_drainage, onemap_part_gas, onemap_part_heat, onemap_part_power, onemap_part_telecom,
     onemap_part_address, onemap_part_admin
  USING (series IN (SELECT s.series FROM observed.series s));

REVOKE ALL ON FUNCTION access.leaves_columns, meta.seen_sensors FROM PUBLIC;
GRANT EXECUTE ON FUNCTION access.leaves_columns, meta.seen_sensors TO onemap_part_planner, onemap_part_water, onemap_part_drainage,
  onemap_part_gas, onemap_part_heat, onemap_part_power, onemap_part_telecom, onemap_part_address, onemap_part_admin;
