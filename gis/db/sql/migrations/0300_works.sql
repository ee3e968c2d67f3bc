-- Works on the water network (关阀作业), the valves that they hold shut, and what was reported about valves.
CREATE SCHEMA works;
COMMENT ON SCHEMA works IS 'Works that shut valves, and reports on the states of valves';
GRANT USAGE ON SCHEMA works TO onemap_planner, onemap_water, onemap_admin;

CREATE TABLE works.valve_report (
  id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  network    text NOT NULL,
  valve_id   text NOT NULL,
  at         timestamptz NOT NULL,
  live       text CHECK (live IN ('open', 'closed', 'unknown')),
  operable   boolean,
  accessible boolean,
  reason     text,
  operator   text NOT NULL DEFAULT '',
  batch      bigint REFERENCES meta.batch
);
COMMENT ON TABLE works.valve_report IS 'What was reported about a valve, and when it was so; a null says nothing. The table only grows';
-- Usage: the newest report of a valve
CREATE INDEX valve_report_valve ON works.valve_report (network, valve_id, at DESC);
GRANT SELECT ON works.valve_report TO onemap_planner, onemap_water, onemap_admin;

CREATE TABLE works.work (
  id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  kind       text NOT NULL CHECK (kind IN ('planned', 'emergency')),
  title      text NOT NULL CHECK (length(title) BETWEEN 1 AND 200),
  reason     text NOT NULL DEFAULT '' CHECK (length(reason) <= 1000),
  network    text NOT NULL,
  element    text NOT NULL CHECK (element IN ('pipe', 'node', 'valve')),
  element_id text NOT NULL,
  stuck      text[] NOT NULL DEFAULT '{}',
  during     tstzrange NOT NULL CHECK (NOT isempty(during) AND NOT lower_inf(during) AND NOT upper_inf(during)),
  state      text NOT NULL DEFAULT 'planned' CHECK (state IN ('planned', 'in_progress', 'finished', 'cancelled')),
  operator   text NOT NULL DEFAULT '',
  created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  changed_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
COMMENT ON COLUMN works.work.during IS 'From when until when water is off';
-- Usage: which works of a network overlap in time
CREATE INDEX work_during ON works.work USING gist (network, during);

CREATE TABLE works.work_valve (
  work        bigint NOT NULL REFERENCES works.work ON DELETE CASCADE,
  valve_id    text NOT NULL,
  position    int NOT NULL CHECK (position > 0),
  closed_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
  released_at timestamptz CHECK (released_at >= closed_at),
  PRIMARY KEY (work, valve_id)
);
COMMENT ON TABLE works.work_valve IS 'A valve is held shut by a work from closed_at until released_at; two works may hold the same one';
-- Usage: which works hold a valve
CREATE INDEX work_valve_held ON works.work_valve (valve_id) WHERE released_at IS NULL;

CREATE TABLE works.work_event (
  id       bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  work     bigint NOT NULL REFERENCES works.work ON DELETE CASCADE,
  at       timestamptz NOT NULL DEFAULT clock_timestamp(),
  was      text,
  becomes  text NOT NULL,
  operator text NOT NULL DEFAULT ''
);
COMMENT ON TABLE works.work_event IS 'Every change of state of a work; written by the table of works itself';
-- Usage: the history of a work
CREATE INDEX work_event_work ON works.work_event (work, id);

CREATE FUNCTION works.keep_history() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
BEGIN
  IF TG_OP = 'UPDATE' THEN
    IF NEW.state = OLD.state THEN
      RETURN NEW;
    END IF;
    IF (OLD.state, NEW.state) NOT IN (('planned', 'in_progress'), ('planned', 'cancelled'), ('in_progress', 'finished'), ('in_progress', 'cancelled')) THEN
      RAISE EXCEPTION 'a work does not go from % to %', OLD.state, NEW.state USING ERRCODE = 'check_violation';
    END IF;
  END IF;
  INSERT INTO works.work_event (work, was, becomes, operator)
  VALUES (NEW.id, CASE WHEN TG_OP = 'UPDATE' THEN OLD.state END, NEW.state, NEW.operator);
  RETURN NEW;
END $$;
CREATE TRIGGER history AFTER INSERT OR UPDATE ON works.work FOR EACH ROW EXECUTE FUNCTION works.keep_history();

GRANT SELECT ON works.work, works.work_valve, works.work_event TO onemap_planner, onemap_water, onemap_admin;
GRANT INSERT, UPDATE (state, operator, changed_at) ON works.work TO onemap_water, onemap_admin;
GRANT INSERT, UPDATE (released_at) ON works.work_valve TO onemap_water, onemap_admin;

-- Reports become the state of the valves: one batch of kind edit, what was believed before goes to history. A report older than the
-- newest one known of the same valve is kept and changes nothing. Whoever may execute this may write the layer of the valves.
CREATE FUNCTION works.report_valves(in_network text, reports jsonb, in_source text, in_reason text, in_operator text)
RETURNS TABLE (batch bigint, changed text[], unchanged text[], outdated text[], unknown text[])
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
#variable_conflict use_column
DECLARE
  tries int := 0;
  believed_from timestamptz;
  listed text;
  todo jsonb;
BEGIN
  WHILE NOT pg_try_advisory_xact_lock(5197132, hashtext('water_valve')) LOOP  -- the lock of the loads
    tries := tries + 1;
    IF tries > 50 THEN
      RAISE EXCEPTION 'another load of water_valve is running' USING ERRCODE = 'lock_not_available';
    END IF;
    PERFORM pg_sleep(0.1);
  END LOOP;
  SELECT coalesce(jsonb_agg(jsonb_build_object(
           'valve_id', r.valve_id, 'at', coalesce(r.at, clock_timestamp()), 'live', r.live, 'operable', r.operable, 'accessible', r.accessible,
           'known', v.valve_id IS NOT NULL,
           'late', r.live IS NOT NULL AND r.at < (SELECT max(p.at) FROM works.valve_report p
                   WHERE p.network = in_network AND p.valve_id = r.valve_id AND p.live IS NOT NULL),
           'differs', (r.live IS NOT NULL AND nullif(r.live, 'unknown') IS DISTINCT FROM v.live_status)
                      OR r.operable <> v.operable OR r.accessible <> v.accessible)), '[]')
  INTO todo
  FROM (SELECT DISTINCT ON (x.valve_id) x.* FROM jsonb_to_recordset(reports)
          AS x (valve_id text, at timestamptz, live text, operable boolean, accessible boolean)
        ORDER BY x.valve_id, x.at DESC NULLS FIRST) r
  LEFT JOIN core.water_valve v ON v.network = in_network AND v.valve_id = r.valve_id;
  SELECT coalesce(array_agg(t->>'valve_id') FILTER (WHERE (t->>'known')::bool AND NOT coalesce((t->>'late')::bool, false) AND coalesce((t->>'differs')::bool, false)), '{}'),
         coalesce(array_agg(t->>'valve_id') FILTER (WHERE (t->>'known')::bool AND NOT coalesce((t->>'late')::bool, false) AND NOT coalesce((t->>'differs')::bool, false)), '{}'),
         coalesce(array_agg(t->>'valve_id') FILTER (WHERE (t->>'known')::bool AND coalesce((t->>'late')::bool, false)), '{}'),
         coalesce(array_agg(t->>'valve_id') FILTER (WHERE NOT (t->>'known')::bool), '{}')
  INTO changed, unchanged, outdated, unknown FROM jsonb_array_elements(todo) t;
  IF cardinality(changed) > 0 THEN
    INSERT INTO meta.batch (kind, source, operator, mode, status, finished_at, recorded_at, message)
    SELECT 'edit', in_source, in_operator, 'update', 'published', clock_timestamp(),
           greatest(clock_timestamp(), max(b.recorded_at) + interval '1 microsecond'), in_reason FROM meta.batch b
    RETURNING id, recorded_at INTO batch, believed_from;
    INSERT INTO meta.batch_layer (batch, layer, scope, rows_read, rows_loaded, updated, unchanged)
    VALUES (report_valves.batch, 'water_valve', in_network, cardinality(changed) + cardinality(unchanged),
            cardinality(changed) + cardinality(unchanged), cardinality(changed), cardinality(unchanged));
    SELECT string_agg(quote_ident(a.attname), ', ') INTO listed FROM pg_attribute a
    WHERE a.attrelid = 'core.water_valve'::regclass AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = '';
    EXECUTE format('INSERT INTO history.water_valve (%1$s, recorded_to) SELECT %1$s, $1 FROM core.water_valve WHERE network = $2 AND valve_id = ANY ($3)', listed)
    USING believed_from, in_network, changed;
    UPDATE core.water_valve v
    SET live_status = CASE WHEN t->>'live' IS NULL THEN v.live_status ELSE nullif(t->>'live', 'unknown') END,
        operable = coalesce((t->>'operable')::bool, v.operable), accessible = coalesce((t->>'accessible')::bool, v.accessible),
        batch = report_valves.batch, recorded_from = believed_from
    FROM jsonb_array_elements(todo) t
    WHERE v.network = in_network AND v.valve_id = t->>'valve_id' AND v.valve_id = ANY (changed);
  END IF;
  INSERT INTO works.valve_report (network, valve_id, at, live, operable, accessible, reason, operator, batch)
  SELECT in_network, t->>'valve_id', (t->>'at')::timestamptz, t->>'live', (t->>'operable')::bool, (t->>'accessible')::bool, in_reason, in_operator,
         CASE WHEN t->>'valve_id' = ANY (changed) THEN report_valves.batch END
  FROM jsonb_array_elements(todo) t WHERE (t->>'known')::bool;
  INSERT INTO access.audit (user_name, role, action, layer, detail, n)
  VALUES (in_operator, replace(current_setting('role'), 'onemap_', ''), 'edit', 'water_valve',
          jsonb_build_object('network', in_network, 'batch', batch, 'source', in_source, 'reason', in_reason, 'changed', changed),
          cardinality(changed));
  RETURN NEXT;
END $$;
REVOKE ALL ON FUNCTION works.report_valves, works.keep_history FROM PUBLIC;
GRANT EXECUTE ON FUNCTION works.report_valves TO onemap_water, onemap_admin;
