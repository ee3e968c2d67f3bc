-- Roles belong to the whole server, so other databases of it may have made them already.
-- onemap_login: the only one that logs in to serve; owns nothing, inherits nothing, and must SET ROLE to see anything.
-- onemap_identity: looks up who holds a key or password; sees no layer.
DO $$
DECLARE r text;
BEGIN
  FOREACH r IN ARRAY ARRAY['anonymous', 'planner', 'water', 'drainage', 'gas', 'heat', 'power', 'telecom', 'address', 'admin', 'identity']
  LOOP
    BEGIN
      EXECUTE format('CREATE ROLE %I NOLOGIN', 'onemap_' || r);
    EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL;
    END;
  END LOOP;
  BEGIN
    CREATE ROLE onemap_login LOGIN NOINHERIT;
  EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL;
  END;
END $$;

GRANT onemap_anonymous, onemap_planner, onemap_water, onemap_drainage, onemap_gas, onemap_heat, onemap_power, onemap_telecom,
      onemap_address, onemap_admin, onemap_identity TO onemap_login;

DO $$
BEGIN
  EXECUTE format('GRANT CONNECT ON DATABASE %I TO onemap_login', current_database());
  EXECUTE format('REVOKE ALL ON DATABASE %I FROM PUBLIC', current_database());
END $$;

-- public holds the extensions' functions and types and nothing else.
GRANT USAGE ON SCHEMA public, pub TO onemap_anonymous, onemap_planner, onemap_water, onemap_drainage, onemap_gas, onemap_heat,
      onemap_power, onemap_telecom, onemap_address, onemap_admin;
GRANT USAGE ON SCHEMA meta TO onemap_anonymous, onemap_planner, onemap_water, onemap_drainage, onemap_gas, onemap_heat,
      onemap_power, onemap_telecom, onemap_address, onemap_admin;

-- Functions made in pub later are for every role that reads; they run as their caller.
ALTER DEFAULT PRIVILEGES IN SCHEMA pub GRANT EXECUTE ON FUNCTIONS TO onemap_anonymous, onemap_planner, onemap_water, onemap_drainage,
      onemap_gas, onemap_heat, onemap_power, onemap_telecom, onemap_address, onemap_admin;
