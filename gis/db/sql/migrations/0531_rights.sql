-- Rights: what of a layer a role, a department or a user may see, where the layer file gives it to the role. They only ever take away.
-- Rights of the same who on the same layer add up by area; everything else holds together. Who has rights on a layer of which none is in
-- force today sees nothing of it.
CREATE TABLE access."right" (
  id        bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  who       text NOT NULL CHECK (who IN ('role', 'department', 'user')),
  name      text NOT NULL CHECK (name <> ''),
  layer     text NOT NULL CHECK (layer ~ '^(\*|[a-z][a-z0-9_]*/?)$'),
  area      public.geometry(MultiPolygon, 4490),
  place     text,
  filter    text,
  condition text,
  columns   text[],
  first_day date,
  last_day  date,
  note      text NOT NULL DEFAULT '' CHECK (length(note) <= 500),
  made_by   text NOT NULL DEFAULT '',
  made_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
  CHECK ((filter IS NULL) = (condition IS NULL)),
  CHECK ((area IS NULL) = (place IS NULL)),
  CHECK (first_day <= last_day),
  CHECK ((filter IS NULL AND columns IS NULL) OR layer ~ '^[a-z][a-z0-9_]*$'),
  CHECK (num_nonnulls(area, filter, columns, first_day, last_day) > 0)
);
COMMENT ON TABLE access."right" IS 'What of a layer a role, department or user may see; it only narrows. Rows are made and removed, never changed';
COMMENT ON COLUMN access."right".layer IS 'A layer, a group of layers with / behind it, or * for all';
COMMENT ON COLUMN access."right".place IS 'The area as it was named: a code, a file, a box';
COMMENT ON COLUMN access."right".filter IS 'CQL2; condition: the same as SQL over the columns of the layer''s table';
COMMENT ON COLUMN access."right".last_day IS 'The last day on which it holds';
-- Usage: the rights of a caller
CREATE INDEX right_who ON access."right" (name, who);

CREATE TABLE access.layer_group (layer text PRIMARY KEY, name text NOT NULL);
COMMENT ON TABLE access.layer_group IS 'The group (folder) of every layer that has a table';

-- The role of the layer files for which this transaction speaks, also within functions that run with the rights of their owner.
CREATE FUNCTION access.base_role() RETURNS text LANGUAGE sql STABLE SET search_path = pg_catalog AS $$
  SELECT regexp_replace(coalesce(nullif(current_setting('role', true), 'none'), session_user), '^onemap_(part_)?', '')
$$;

-- in_layer: null for all layers.
CREATE FUNCTION access.rights_of(in_role text, in_user text, in_layer text)
RETURNS TABLE (id bigint, who text, name text, layer text, area public.geometry, filter text, columns text[], in_force boolean)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog AS $$
  SELECT r.id, r.who, r.name, r.layer, r.area, r.filter, r.columns,
         coalesce(r.first_day <= current_date, true) AND coalesce(r.last_day >= current_date, true)
  FROM access."right" r
  WHERE (r.who = 'role' AND r.name = in_role
         OR r.who = 'user' AND r.name = in_user
         OR r.who = 'department' AND r.name IN (SELECT u.department FROM access."user" u WHERE u.name = in_user
                                                UNION ALL SELECT f.department FROM access.federated f WHERE f.name = in_user))
    AND (in_layer IS NULL OR r.layer IN ('*', in_layer, (SELECT g.name || '/' FROM access.layer_group g WHERE g.layer = in_layer)))
$$;

-- Whether no right narrows the layer for who asks.
CREATE FUNCTION access.is_whole(in_layer text) RETURNS boolean
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog AS $$
  SELECT NOT EXISTS (SELECT FROM access.rights_of(access.base_role(), coalesce(current_setting('app.user', true), ''), in_layer))
$$;

-- Where who asks sees the layer: the world where no right names an area, null where none of his rights is in force.
CREATE FUNCTION access.area_of(in_layer text) RETURNS public.geometry
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, public AS $$
DECLARE
  one record;
  seen public.geometry;
BEGIN
  FOR one IN
    SELECT bool_or(r.in_force) AS holds, bool_or(r.in_force AND r.area IS NULL) AS everywhere, ST_Union(r.area) FILTER (WHERE r.in_force) AS area
    FROM access.rights_of(access.base_role(), coalesce(current_setting('app.user', true), ''), in_layer) r GROUP BY r.who, r.name, r.layer
  LOOP
    IF NOT one.holds THEN
      RETURN NULL;
    ELSIF NOT one.everywhere THEN
      seen := CASE WHEN seen IS NULL THEN one.area ELSE ST_CollectionExtract(ST_Intersection(seen, one.area), 3) END;
    END IF;
  END LOOP;
  RETURN coalesce(seen, ST_MakeEnvelope(-180, -90, 180, 90, 4490));
END $$;

-- The rights with a condition that hold for who asks.
CREATE FUNCTION access.conditions_of(in_layer text) RETURNS bigint[]
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog AS $$
  SELECT coalesce(array_agg(r.id), '{}') FROM access.rights_of(access.base_role(), coalesce(current_setting('app.user', true), ''), in_layer) r
  WHERE r.in_force AND r.filter IS NOT NULL
$$;

-- The policies of a layer's tables; run with its grants, and when a right with a condition comes or goes. A condition that the policy does not
-- know lets nothing through.
CREATE FUNCTION access.protect(in_layer text, in_group text) RETURNS void LANGUAGE plpgsql SET search_path = pg_catalog, public AS $$
DECLARE
  place text;
  roles text;
  known bigint[];
  holds text;
BEGIN
  INSERT INTO access.layer_group (layer, name) VALUES (in_layer, in_group)
  ON CONFLICT (layer) DO UPDATE SET name = excluded.name WHERE layer_group.name <> excluded.name;
  BEGIN
    -- A reader's own condition on the geometry may be looked up in the index before the policy has judged the rows only where its operator
    -- tells nothing of them. It compares two boxes.
    IF EXISTS (SELECT FROM pg_proc WHERE oid = 'public.geometry_overlaps(public.geometry, public.geometry)'::regprocedure AND NOT proleakproof) THEN
      ALTER FUNCTION public.geometry_overlaps(public.geometry, public.geometry) LEAKPROOF;
    END IF;
  EXCEPTION WHEN insufficient_privilege THEN
    RAISE NOTICE 'only a superuser may say that && is leak-proof; narrowed callers read without the spatial index';
  END;
  SELECT string_agg(quote_ident(rolname), ', ') INTO roles FROM pg_roles WHERE starts_with(rolname, 'onemap_part_');
  SELECT coalesce(array_agg(r.id), '{}'),
         coalesce(string_agg(format(' AND (%s <> ALL ((SELECT access.conditions_of(%L))::bigint[]) OR coalesce((%s), false))', r.id, in_layer, r.condition),
                             '' ORDER BY r.id), '')
  INTO known, holds FROM access."right" r WHERE r.layer = in_layer AND r.condition IS NOT NULL;
  FOREACH place IN ARRAY ARRAY['core', 'history'] LOOP
    EXECUTE format('ALTER TABLE %I.%I ENABLE ROW LEVEL SECURITY', place, in_layer);
    EXECUTE format('DROP POLICY IF EXISTS whole ON %I.%I', place, in_layer);
    EXECUTE format('DROP POLICY IF EXISTS part ON %I.%I', place, in_layer);
    EXECUTE format('CREATE POLICY whole ON %I.%I USING (true) WITH CHECK (true)', place, in_layer);
    EXECUTE format('CREATE POLICY part ON %1$I.%2$I AS RESTRICTIVE TO %3$s USING ((SELECT access.is_whole(%2$L)) OR '
                   '(ST_Intersects(geom, (SELECT access.area_of(%2$L))) AND (SELECT access.conditions_of(%2$L)) <@ %4$L::bigint[]%5$s)) '
                   'WITH CHECK (false)', place, in_layer, roles, known, holds);
  END LOOP;
END $$;

REVOKE ALL ON FUNCTION access.base_role, access.rights_of, access.is_whole, access.area_of, access.conditions_of, access.protect FROM PUBLIC;
GRANT EXECUTE ON FUNCTION access.base_role, access.is_whole, access.area_of, access.conditions_of TO onemap_anonymous;
GRANT EXECUTE ON FUNCTION access.base_role TO onemap_planner, onemap_water, onemap_drainage, onemap_gas, onemap_heat, onemap_power,
      onemap_telecom, onemap_address, onemap_admin;
GRANT EXECUTE ON FUNCTION access.rights_of TO onemap_identity;
GRANT SELECT ON access."right" TO onemap_security;

-- A job belongs to its user and role, whether rights narrow what he reads or not.
ALTER POLICY own_job ON meta.job
  USING (user_name = coalesce(current_setting('app.user', true), '') AND role = access.base_role())
  WITH CHECK (user_name = coalesce(current_setting('app.user', true), '') AND role = access.base_role());

-- What is told of a layer's deliveries counts all of its rows, so it is told to who sees all of them.
CREATE OR REPLACE FUNCTION meta.may_read(layer text) RETURNS boolean LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog AS $$
  SELECT coalesce(has_any_column_privilege(meta.asking_role()::name, to_regclass(format('pub.%I', layer)), 'SELECT'), true)
         AND access.is_whole(layer)
$$;
