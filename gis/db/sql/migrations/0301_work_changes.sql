-- A work may be at a service connection; it is changed while it lasts; its last step can be taken back; a valve may be held by it again.
ALTER TABLE works.work DROP CONSTRAINT work_element_check;
ALTER TABLE works.work ADD CONSTRAINT work_element_check CHECK (element IN ('pipe', 'node', 'valve', 'connection'));
ALTER TABLE works.work ADD COLUMN note text NOT NULL DEFAULT '' CHECK (length(note) <= 1000), ADD COLUMN undoes bigint;
COMMENT ON COLUMN works.work.note IS 'Why its last change was made';
COMMENT ON COLUMN works.work.undoes IS 'The event that its last change took back; null: none';

ALTER TABLE works.work_event ADD COLUMN changed jsonb, ADD COLUMN note text NOT NULL DEFAULT '', ADD COLUMN undoes bigint REFERENCES works.work_event;
COMMENT ON TABLE works.work_event IS 'Every change of a work, who made it and when; written by the table of works itself';
COMMENT ON COLUMN works.work_event.changed IS 'The fields that changed, each as [was, is]';
COMMENT ON COLUMN works.work_event.undoes IS 'The event that this one took back';

ALTER TABLE works.work_valve DROP CONSTRAINT work_valve_pkey;
ALTER TABLE works.work_valve ADD COLUMN id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY;
-- Usage: a work holds a valve once at a time; the valves of a work
CREATE UNIQUE INDEX work_valve_once ON works.work_valve (work, valve_id) WHERE released_at IS NULL;
CREATE INDEX work_valve_work ON works.work_valve (work);

-- The last step of a work that can be taken back: neither taken back already, nor itself a taking back, nor its entry.
CREATE FUNCTION works.last_step(in_work bigint) RETURNS works.work_event
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog AS $$
  SELECT e FROM works.work_event e
  WHERE e.work = in_work AND e.was IS NOT NULL AND e.undoes IS NULL
    AND NOT EXISTS (SELECT FROM works.work_event u WHERE u.undoes = e.id)
  ORDER BY e.id DESC LIMIT 1
$$;

CREATE OR REPLACE FUNCTION works.keep_history() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
DECLARE
  differs jsonb := '{}';
  step works.work_event;
BEGIN
  IF TG_OP = 'UPDATE' THEN
    IF (NEW.id, NEW.network, NEW.element, NEW.element_id, NEW.kind) IS DISTINCT FROM (OLD.id, OLD.network, OLD.element, OLD.element_id, OLD.kind) THEN
      RAISE EXCEPTION 'where a work is does not change' USING ERRCODE = 'check_violation';
    END IF;
    SELECT coalesce(jsonb_object_agg(k, jsonb_build_array(a, b)), '{}') INTO differs
    FROM (VALUES ('title', to_jsonb(OLD.title), to_jsonb(NEW.title)), ('reason', to_jsonb(OLD.reason), to_jsonb(NEW.reason)),
                 ('stuck', to_jsonb(OLD.stuck), to_jsonb(NEW.stuck)),
                 ('starts', to_jsonb(lower(OLD.during)), to_jsonb(lower(NEW.during))),
                 ('ends', to_jsonb(upper(OLD.during)), to_jsonb(upper(NEW.during)))) AS f (k, a, b)
    WHERE a IS DISTINCT FROM b;
    IF NEW.undoes IS NOT NULL AND NEW.undoes IS DISTINCT FROM OLD.undoes THEN
      step := works.last_step(NEW.id);
      IF step.id IS DISTINCT FROM NEW.undoes OR (OLD.state, NEW.state) IS DISTINCT FROM (step.becomes, step.was) THEN
        RAISE EXCEPTION 'only the last step of a work is taken back' USING ERRCODE = 'check_violation';
      END IF;
    ELSIF NEW.state <> OLD.state AND (OLD.state, NEW.state) NOT IN
          (('planned', 'in_progress'), ('planned', 'cancelled'), ('in_progress', 'finished'), ('in_progress', 'cancelled')) THEN
      RAISE EXCEPTION 'a work does not go from % to %', OLD.state, NEW.state USING ERRCODE = 'check_violation';
    ELSIF NEW.state = OLD.state AND differs = '{}' THEN
      RETURN NEW;
    END IF;
  END IF;
  INSERT INTO works.work_event (work, was, becomes, operator, changed, note, undoes)
  VALUES (NEW.id, CASE WHEN TG_OP = 'UPDATE' THEN OLD.state END, NEW.state, NEW.operator, nullif(differs, '{}'), NEW.note,
          CASE WHEN TG_OP = 'UPDATE' AND NEW.undoes IS DISTINCT FROM OLD.undoes THEN NEW.undoes END);
  RETURN NEW;
END $$;

GRANT UPDATE (title, reason, stuck, during, note, undoes) ON works.work TO onemap_water, onemap_admin;
REVOKE ALL ON FUNCTION works.last_step FROM PUBLIC;
GRANT EXECUTE ON FUNCTION works.last_step TO onemap_planner, onemap_water, onemap_admin;
