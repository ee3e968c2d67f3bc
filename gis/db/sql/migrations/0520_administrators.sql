-- What the three administrators may do, each by one duty; their roles are made in 0519.
GRANT USAGE ON SCHEMA access TO onemap_security, onemap_auditor;

-- --- users and keys ------------------------------------------------------------------------------------------------------

ALTER TABLE access."user" DROP CONSTRAINT user_role_check;
ALTER TABLE access."user" ADD CONSTRAINT user_role_check CHECK (role IN
  ('planner', 'water', 'drainage', 'gas', 'heat', 'power', 'telecom', 'address', 'admin', 'security', 'auditor'));
ALTER TABLE access."user" ADD COLUMN IF NOT EXISTS department text NOT NULL DEFAULT '' CHECK (length(department) <= 100);
ALTER TABLE access."user" ADD COLUMN expires_at timestamptz;
ALTER TABLE access."user" ADD COLUMN password_set_at timestamptz;
ALTER TABLE access."user" ADD COLUMN must_change boolean NOT NULL DEFAULT false;
ALTER TABLE access."user" ADD COLUMN last_login_at timestamptz;
ALTER TABLE access."user" ADD COLUMN last_login_from text;
ALTER TABLE access."user" ADD COLUMN login_before_at timestamptz;
ALTER TABLE access."user" ADD COLUMN login_before_from text;
UPDATE access."user" SET password_set_at = created_at WHERE password_hash IS NOT NULL;

-- kind session: made by a log-in, ends when nobody uses it
ALTER TABLE access.key ADD COLUMN kind text NOT NULL DEFAULT 'key' CHECK (kind IN ('key', 'session'));
ALTER TABLE access.key ADD COLUMN last_used_at timestamptz;
ALTER TABLE access.key ADD COLUMN last_used_from text;

-- Wrong passwords by name, of users that exist and of others alike; the name as its SHA-256: people type passwords where names belong.
CREATE TABLE access.failure (
  name  text PRIMARY KEY,
  n     integer NOT NULL,
  since timestamptz NOT NULL DEFAULT clock_timestamp()
);

-- Who came with a token of the configured issuer. No local name holds a colon, so none of these is a local user.
CREATE TABLE access.federated (
  name            text PRIMARY KEY CHECK (name ~ '^oidc:[^\s\x01-\x1f]{1,200}$'),
  role            text NOT NULL,
  department      text NOT NULL DEFAULT '',
  disabled        boolean NOT NULL DEFAULT false,
  first_seen_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
  last_login_at   timestamptz,
  last_login_from text
);

-- What a role or a user may do at most; null: what the settings say. subject is role:NAME or user:NAME.
CREATE TABLE access.allowance (
  subject       text PRIMARY KEY CHECK (subject ~ '^(role|user):.'),
  rate_per_s    real CHECK (rate_per_s >= 0),
  at_once       integer CHECK (at_once >= 0),
  heavy_at_once integer CHECK (heavy_at_once >= 0),
  file_rows     bigint CHECK (file_rows >= 0)
);

REVOKE ALL ON access."user", access.key FROM onemap_admin;
REVOKE SELECT ON access.audit FROM onemap_admin;
REVOKE SELECT (name, role, disabled, created_at) ON access."user" FROM onemap_admin;
REVOKE SELECT (id, user_name, prefix, created_at, expires_at, revoked_at) ON access.key FROM onemap_admin;

GRANT UPDATE (last_login_at, last_login_from, login_before_at, login_before_from, password_hash, password_set_at, must_change)
  ON access."user" TO onemap_identity;
GRANT INSERT, UPDATE (last_used_at, last_used_from, revoked_at) ON access.key TO onemap_identity;
GRANT SELECT, INSERT, UPDATE, DELETE ON access.failure TO onemap_identity;
GRANT SELECT, INSERT, UPDATE (role, department, last_login_at, last_login_from) ON access.federated TO onemap_identity;
GRANT SELECT ON access.allowance TO onemap_identity;

GRANT SELECT (name, role, department, disabled, created_at, expires_at, password_set_at, must_change, last_login_at, last_login_from),
      INSERT (name, role, department, expires_at, password_hash, password_set_at, must_change),
      UPDATE (role, department, disabled, expires_at, password_hash, password_set_at, must_change) ON access."user" TO onemap_security;
GRANT SELECT (id, user_name, prefix, kind, created_at, expires_at, revoked_at, last_used_at, last_used_from),
      INSERT (user_name, sha256, prefix, expires_at), UPDATE (revoked_at, expires_at) ON access.key TO onemap_security;
GRANT SELECT, DELETE ON access.failure TO onemap_security;
GRANT SELECT, UPDATE (disabled) ON access.federated TO onemap_security;
GRANT SELECT, INSERT, UPDATE, DELETE ON access.allowance TO onemap_security;

-- --- the audit: a chain that shows what is missing ---------------------------------------------------------------------

GRANT INSERT ON access.audit TO onemap_security, onemap_auditor;

-- One row per row of the audit, in the order of the commits: the hash of the row and of the seal before it.
CREATE TABLE access.audit_seal (
  seq      bigint PRIMARY KEY,
  audit_id bigint NOT NULL UNIQUE,
  hash     bytea NOT NULL
);

-- Rows that went into a file: up to which seal, with which hash the chain goes on, and the digest of the file.
CREATE TABLE access.audit_archive (
  id       bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  at       timestamptz NOT NULL DEFAULT clock_timestamp(),
  upto     bigint NOT NULL UNIQUE,
  hash     bytea NOT NULL,
  n        bigint NOT NULL,
  file     text NOT NULL,
  sha256   text NOT NULL CHECK (sha256 ~ '^[0-9a-f]{64}$'),
  operator text NOT NULL
);

CREATE FUNCTION access.audit_text(one access.audit) RETURNS text LANGUAGE sql STABLE SET search_path = pg_catalog AS $$
  SELECT jsonb_build_array(one.id, (extract(epoch FROM one.at) * 1000000)::bigint, one.user_name, one.role, one.action, one.layer, one.detail, one.n)::text
$$;

-- Runs when the transaction commits, so that a long transaction holds up nobody's audit; the lock orders the commits.
CREATE FUNCTION access.seal_audit() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
DECLARE
  before bytea;
  number bigint;
BEGIN
  PERFORM pg_advisory_xact_lock(5640110815620);
  SELECT s.seq, s.hash INTO number, before FROM access.audit_seal s ORDER BY s.seq DESC LIMIT 1;
  IF number IS NULL THEN
    SELECT a.upto, a.hash INTO number, before FROM access.audit_archive a ORDER BY a.upto DESC LIMIT 1;
  END IF;
  INSERT INTO access.audit_seal (seq, audit_id, hash)
  VALUES (coalesce(number, 0) + 1, NEW.id, sha256(coalesce(before, '') || convert_to(access.audit_text(NEW), 'UTF8')));
  RETURN NULL;
END $$;

DO $$
DECLARE
  one access.audit;
  before bytea := '';
  number bigint := 0;
BEGIN
  FOR one IN SELECT * FROM access.audit ORDER BY id LOOP
    before := sha256(before || convert_to(access.audit_text(one), 'UTF8'));
    number := number + 1;
    INSERT INTO access.audit_seal VALUES (number, one.id, before);
  END LOOP;
END $$;

CREATE CONSTRAINT TRIGGER seal AFTER INSERT ON access.audit DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION access.seal_audit();

-- Only what stands in an archive may go.
CREATE FUNCTION access.keep_unarchived() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
DECLARE
  upto bigint := (SELECT max(a.upto) FROM access.audit_archive a);
  number bigint;
BEGIN
  IF TG_TABLE_NAME = 'audit' THEN
    SELECT s.seq INTO number FROM access.audit_seal s WHERE s.audit_id = OLD.id;
  ELSE
    number := OLD.seq;
  END IF;
  IF number IS NULL OR upto IS NULL OR number > upto THEN
    RAISE EXCEPTION 'the audit is append-only' USING ERRCODE = 'insufficient_privilege';
  END IF;
  RETURN OLD;
END $$;

DROP TRIGGER append_only ON access.audit;
CREATE TRIGGER append_only BEFORE UPDATE OR TRUNCATE ON access.audit FOR EACH STATEMENT EXECUTE FUNCTION access.keep_audit();
CREATE TRIGGER keep BEFORE DELETE ON access.audit FOR EACH ROW EXECUTE FUNCTION access.keep_unarchived();
CREATE TRIGGER append_only BEFORE UPDATE OR TRUNCATE ON access.audit_seal FOR EACH STATEMENT EXECUTE FUNCTION access.keep_audit();
CREATE TRIGGER keep BEFORE DELETE ON access.audit_seal FOR EACH ROW EXECUTE FUNCTION access.keep_unarchived();
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON access.audit_archive FOR EACH STATEMENT EXECUTE FUNCTION access.keep_audit();

-- Usage: what happened in these days
CREATE INDEX audit_at ON access.audit (at);

GRANT SELECT ON access.audit, access.audit_seal, access.audit_archive TO onemap_auditor;
REVOKE ALL ON FUNCTION access.seal_audit, access.keep_unarchived FROM PUBLIC;
REVOKE ALL ON FUNCTION access.audit_text FROM PUBLIC;
GRANT EXECUTE ON FUNCTION access.audit_text TO onemap_auditor;
