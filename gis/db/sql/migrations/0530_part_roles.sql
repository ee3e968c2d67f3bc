-- A caller whom rights narrow reads as another role: onemap_part_water instead of onemap_water. It may read what onemap_water reads (the grants
-- of the layers name both) and may do otherwise what anonymous may do; the policies of the rows are for these roles alone, so that they cost
-- the others nothing.
DO $$
DECLARE r text;
BEGIN
  FOREACH r IN ARRAY ARRAY['planner', 'water', 'drainage', 'gas', 'heat', 'power', 'telecom', 'address', 'admin']
  LOOP
    BEGIN
      EXECUTE format('CREATE ROLE %I NOLOGIN', 'onemap_part_' || r);
    EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL;
    END;
  END LOOP;
END $$;

GRANT onemap_anonymous TO onemap_part_planner, onemap_part_water, onemap_part_drainage, onemap_part_gas, onemap_part_heat, onemap_part_power,
      onemap_part_telecom, onemap_part_address, onemap_part_admin;
GRANT onemap_part_planner, onemap_part_water, onemap_part_drainage, onemap_part_gas, onemap_part_heat, onemap_part_power,
      onemap_part_telecom, onemap_part_address, onemap_part_admin TO onemap_login;
