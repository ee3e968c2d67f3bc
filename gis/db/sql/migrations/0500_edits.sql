-- A feature edited by hand: one batch of kind edit, what was believed before goes to history. Runs as its owner, because nobody who serves
-- may touch `core` and `history`; asks the grants of the caller's role first: its right on the layer's table (`access.write` of the layer
-- file) and, column by column, what it sees. Which rows the caller sees, the caller's own statements before and after have asked.

-- Usage: the moment of the last batch
CREATE INDEX batch_recorded ON meta.batch (recorded_at);

CREATE FUNCTION meta.columns_of(target regclass) RETURNS text[]
LANGUAGE sql STABLE SET search_path = pg_catalog AS $$
  SELECT array_agg(attname::text ORDER BY attnum) FROM pg_attribute WHERE attrelid = target AND attnum > 0 AND NOT attisdropped
$$;

-- Whoever rights narrow on other layers edits this one as his role may; whom they narrow on this one edits nothing of it: what he does not see
-- he could not judge.
CREATE FUNCTION meta.require_right(in_layer text, in_operation text, in_columns text[]) RETURNS regclass
LANGUAGE plpgsql STABLE SET search_path = pg_catalog AS $$
DECLARE
  caller text := 'onemap_' || access.base_role();
  target regclass := to_regclass(format('core.%I', in_layer));
  seen regclass := to_regclass(format('pub.%I', in_layer));
BEGIN
  IF target IS NULL OR seen IS NULL OR in_operation NOT IN ('insert', 'update', 'delete') OR to_regrole(caller) IS NULL
     OR NOT has_table_privilege(caller, target, in_operation) OR NOT access.is_whole(in_layer) THEN
    RAISE EXCEPTION 'the role may not edit this layer' USING ERRCODE = 'insufficient_privilege';
  END IF;
  IF EXISTS (SELECT FROM unnest(in_columns) c
             WHERE c IN ('fid', 'batch', 'recorded_from', 'geom') OR c <> ALL (meta.columns_of(target)) OR NOT has_column_privilege(caller, seen, c, 'SELECT')) THEN
    RAISE EXCEPTION 'the role may not edit this column' USING ERRCODE = 'insufficient_privilege';
  END IF;
  RETURN target;
END $$;

-- Rows that refer to a feature, by layer and field: in_referrers is a list of {layer, field, column, scope}, `column` and `scope` those of
-- the feature that they refer to.
CREATE FUNCTION meta.referrers(target regclass, in_fid bigint, in_referrers jsonb) RETURNS text[]
LANGUAGE plpgsql STABLE SET search_path = pg_catalog AS $$
DECLARE
  one jsonb;
  is_referred boolean;
  found_ text[] := '{}';
BEGIN
  FOR one IN SELECT * FROM jsonb_array_elements(in_referrers) LOOP
    EXECUTE format('SELECT EXISTS (SELECT FROM %s t JOIN core.%I r ON r.%I = t.%I %s WHERE t.fid = $1 AND NOT (r.tableoid = t.tableoid AND r.fid = t.fid))',
                   target, one->>'layer', one->>'field', one->>'column',
                   CASE WHEN one->>'scope' IS NULL THEN '' ELSE format('AND r.%1$I = t.%1$I', one->>'scope') END)
    INTO is_referred USING in_fid;
    IF is_referred THEN
      found_ := found_ || format('%s.%s', one->>'layer', one->>'field');
    END IF;
  END LOOP;
  RETURN found_;
END $$;

-- in_values: the columns that are set; the others keep their value, or take their default. in_geom: null keeps the geometry.
-- in_findings: warnings that go with the batch. Nothing is done where what is set is there already (batch is null then), or where a feature
-- is deleted to which others refer by one of `in_needed`, the first part of in_referrers.
CREATE FUNCTION meta.edit(in_layer text, in_operation text, in_fid bigint, in_id text, in_scope text, in_values jsonb, in_geom public.geometry,
                          in_findings jsonb, in_needed jsonb, in_referrers jsonb)
RETURNS TABLE (batch bigint, fid bigint, recorded_at timestamptz, referrers text[])
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public AS $$
#variable_conflict use_column
DECLARE
  given text[] := ARRAY(SELECT jsonb_object_keys(in_values));
  target regclass := meta.require_right(in_layer, in_operation, given);
  listed text;
  theirs text;
  ours text;
  differs boolean := true;
BEGIN
  IF NOT pg_try_advisory_xact_lock(5197132, hashtext(in_layer)) THEN  -- the lock of the loads
    RAISE EXCEPTION 'a load of % is running', in_layer USING ERRCODE = 'lock_not_available';
  END IF;
  fid := in_fid;
  SELECT string_agg(quote_ident(c), ', '), string_agg('c.' || quote_ident(c), ', '), string_agg('r.' || quote_ident(c), ', ')
  INTO listed, ours, theirs FROM unnest(given) c;
  IF in_operation = 'update' THEN
    EXECUTE format('SELECT ROW(%s, c.geom) IS DISTINCT FROM ROW(%s, coalesce($2, c.geom)) FROM %s c, jsonb_populate_record(NULL::%3$s, $3) r WHERE c.fid = $1',
                   ours, theirs, target) INTO differs USING in_fid, in_geom, in_values;
  ELSIF in_operation = 'delete' THEN
    referrers := meta.referrers(target, in_fid, in_needed);
    IF cardinality(referrers) > 0 THEN
      RETURN NEXT;
      RETURN;
    END IF;
    referrers := meta.referrers(target, in_fid, in_referrers);
  END IF;
  IF NOT differs THEN
    RETURN NEXT;
    RETURN;
  END IF;

  INSERT INTO meta.batch (kind, source, operator, mode, status, finished_at, recorded_at)
  SELECT 'edit', left(in_operation || ' ' || in_id, 500), current_setting('app.user'), 'update', 'published', clock_timestamp(),
         greatest(clock_timestamp(), max(b.recorded_at) + interval '1 microsecond') FROM meta.batch b
  RETURNING id, recorded_at INTO batch, recorded_at;
  INSERT INTO meta.batch_layer (batch, layer, scope, rows_read, rows_loaded, inserted, updated, retired)
  VALUES (edit.batch, in_layer, in_scope, 1, 1, (in_operation = 'insert')::int, (in_operation = 'update')::int, (in_operation = 'delete')::int);
  INSERT INTO meta.finding (batch, layer, code, level, src_row, key, field, value, message, remedy, geom)
  SELECT edit.batch, in_layer, f->>'code', f->>'level', 1, in_id, f->>'field', f->>'value', f->>'message', f->>'remedy', public.ST_Force2D(in_geom)
  FROM jsonb_array_elements(in_findings) f;

  IF in_operation <> 'insert' THEN
    EXECUTE format('INSERT INTO history.%I (%s, recorded_to) SELECT %2$s, $2 FROM %s WHERE fid = $1', in_layer,
                   (SELECT string_agg(quote_ident(c), ', ') FROM unnest(meta.columns_of(target)) c), target) USING in_fid, recorded_at;
  END IF;
  CASE in_operation
    WHEN 'insert' THEN
      EXECUTE format('INSERT INTO %s (%s, geom, batch, recorded_from) SELECT %s, $1, $2, $3 FROM jsonb_populate_record(NULL::%1$s, $4) r RETURNING fid',
                     target, listed, theirs) INTO fid USING in_geom, batch, recorded_at, in_values;
    WHEN 'update' THEN
      EXECUTE format('UPDATE %s c SET (%s, geom, batch, recorded_from) = ROW(%s, coalesce($2, c.geom), $3, $4) FROM jsonb_populate_record(NULL::%1$s, $5) r WHERE c.fid = $1',
                     target, listed, theirs) USING in_fid, in_geom, batch, recorded_at, in_values;
    ELSE
      EXECUTE format('DELETE FROM %s WHERE fid = $1', target) USING in_fid;
  END CASE;
  INSERT INTO access.audit (user_name, role, action, layer, detail, n)
  VALUES (current_setting('app.user'), access.base_role(), 'edit', in_layer,
          jsonb_build_object('operation', in_operation, 'id', in_id, 'batch', edit.batch), 1);
  RETURN NEXT;
END $$;

REVOKE ALL ON FUNCTION meta.columns_of, meta.require_right, meta.referrers, meta.edit FROM PUBLIC;
-- Everybody may ask; the layer's own grants answer.
GRANT EXECUTE ON FUNCTION meta.edit TO onemap_anonymous, onemap_planner, onemap_water, onemap_drainage, onemap_gas, onemap_heat,
      onemap_power, onemap_telecom, onemap_address, onemap_admin;
COMMENT ON FUNCTION meta.edit IS 'Edits one feature as the caller''s role may: a batch of kind edit, with history and audit';
