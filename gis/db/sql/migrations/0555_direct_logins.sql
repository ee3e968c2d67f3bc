-- What a role may do in the database itself, for whoever comes with a login of his own beside the platform: he reads. What is written is
-- written by the platform, which checks it and knows who asks; a login of one's own could say that it is anybody (`app.user`).

-- Whether this session is the platform's: the serving login, which may look up who holds a key, or the owner of the database.
CREATE FUNCTION access.by_platform() RETURNS boolean LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog AS $$
  SELECT pg_has_role(session_user, current_user, 'MEMBER') OR pg_has_role(session_user, 'onemap_identity', 'MEMBER')
$$;
COMMENT ON FUNCTION access.by_platform IS 'Whether the platform itself asks, and not a login that was given to a person';

CREATE FUNCTION access.refuse_direct() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog AS $$
BEGIN
  IF NOT access.by_platform() THEN
    RAISE EXCEPTION 'what is written is written by the platform' USING ERRCODE = 'insufficient_privilege';
  END IF;
  RETURN NULL;
END $$;

CREATE TRIGGER by_platform BEFORE INSERT ON meta.batch FOR EACH STATEMENT EXECUTE FUNCTION access.refuse_direct();
CREATE TRIGGER by_platform BEFORE INSERT OR UPDATE ON works.work FOR EACH STATEMENT EXECUTE FUNCTION access.refuse_direct();
CREATE TRIGGER by_platform BEFORE INSERT OR UPDATE ON works.work_valve FOR EACH STATEMENT EXECUTE FUNCTION access.refuse_direct();
CREATE TRIGGER by_platform BEFORE INSERT OR UPDATE ON works.valve_report FOR EACH STATEMENT EXECUTE FUNCTION access.refuse_direct();

ALTER POLICY own_job ON meta.job
  USING ((SELECT access.by_platform()) AND user_name = coalesce(current_setting('app.user', true), '') AND role = access.base_role())
  WITH CHECK (access.by_platform() AND user_name = coalesce(current_setting('app.user', true), '') AND role = access.base_role());

-- The audit is written by who looks up callers and by the administrators of users and audit; when a row was written and which number it has
-- is the table's business. What edits write, the functions that edit write as their owner.
REVOKE INSERT ON access.audit FROM onemap_anonymous, onemap_planner, onemap_water, onemap_drainage, onemap_gas, onemap_heat, onemap_power,
  onemap_telecom, onemap_address, onemap_admin, onemap_identity, onemap_security, onemap_auditor;
GRANT INSERT (user_name, role, action, layer, detail, n) ON access.audit TO onemap_identity, onemap_security, onemap_auditor;

REVOKE ALL ON FUNCTION access.by_platform, access.refuse_direct FROM PUBLIC;
GRANT EXECUTE ON FUNCTION access.by_platform TO onemap_anonymous, onemap_planner, onemap_water, onemap_drainage, onemap_gas, onemap_heat,
  onemap_power, onemap_telecom, onemap_address, onemap_admin;

-- Large objects belong to nobody's layer and fill the disk.
DO $$
DECLARE f regprocedure;
BEGIN
  FOR f IN SELECT oid::regprocedure FROM pg_proc WHERE pronamespace = 'pg_catalog'::regnamespace
           AND proname IN ('lo_creat', 'lo_create', 'lo_from_bytea', 'lo_open', 'lo_put', 'lowrite', 'lo_truncate', 'lo_truncate64')
  LOOP
    EXECUTE format('REVOKE ALL ON FUNCTION %s FROM PUBLIC', f);
  END LOOP;
EXCEPTION WHEN insufficient_privilege THEN
  RAISE NOTICE 'large objects belong to another role; ask a superuser to revoke lo_create from PUBLIC';
END $$;

-- A session that ended leaves nothing but its log-in in the audit.
CREATE FUNCTION access.forget_sessions() RETURNS bigint LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog AS $$
  WITH gone AS (
    DELETE FROM access.key WHERE kind = 'session' AND least(expires_at, revoked_at) < now() - interval '1 day' RETURNING 1
  ) SELECT count(*) FROM gone
$$;
COMMENT ON FUNCTION access.forget_sessions IS 'Takes out sessions that ended more than a day ago; how many there were';
-- Usage: the sessions that are long over
CREATE INDEX key_session ON access.key (expires_at) WHERE kind = 'session';
REVOKE ALL ON FUNCTION access.forget_sessions FROM PUBLIC;
GRANT EXECUTE ON FUNCTION access.forget_sessions TO onemap_identity;
