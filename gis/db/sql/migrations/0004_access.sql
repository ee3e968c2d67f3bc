-- Users and their keys (only digests are stored), and an audit that nobody who serves can change.
CREATE TABLE access."user" (
  name          text PRIMARY KEY CHECK (name ~ '^[^\s:]{1,64}$'),
  role          text NOT NULL CHECK (role IN ('planner', 'water', 'drainage', 'gas', 'heat', 'power', 'telecom', 'address', 'admin')),
  password_hash text,
  disabled      boolean NOT NULL DEFAULT false,
  created_at    timestamptz NOT NULL DEFAULT clock_timestamp()
);

CREATE TABLE access.key (
  id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  user_name  text NOT NULL REFERENCES access."user" ON UPDATE CASCADE ON DELETE CASCADE,
  sha256     text NOT NULL UNIQUE CHECK (sha256 ~ '^[0-9a-f]{64}$'),
  prefix     text NOT NULL,
  created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  expires_at timestamptz,
  revoked_at timestamptz
);
-- Usage: the keys of a user
CREATE INDEX key_user ON access.key (user_name);

CREATE TABLE access.audit (
  id        bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  at        timestamptz NOT NULL DEFAULT clock_timestamp(),
  user_name text NOT NULL DEFAULT coalesce(current_setting('app.user', true), ''),
  role      text NOT NULL DEFAULT current_user,
  action    text NOT NULL,
  layer     text,
  detail    jsonb NOT NULL DEFAULT '{}',
  n         bigint
);
-- Usage: who saw this layer, and when
CREATE INDEX audit_layer ON access.audit (layer, at);
-- Usage: what did this user do
CREATE INDEX audit_user ON access.audit (user_name, at);

CREATE FUNCTION access.keep_audit() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog AS $$
BEGIN
  RAISE EXCEPTION 'the audit is append-only' USING ERRCODE = 'insufficient_privilege';
END $$;
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON access.audit
  FOR EACH STATEMENT EXECUTE FUNCTION access.keep_audit();

GRANT USAGE ON SCHEMA access TO onemap_anonymous, onemap_planner, onemap_water, onemap_drainage, onemap_gas, onemap_heat,
      onemap_power, onemap_telecom, onemap_address, onemap_admin, onemap_identity;
GRANT INSERT ON access.audit TO onemap_anonymous, onemap_planner, onemap_water, onemap_drainage, onemap_gas, onemap_heat,
      onemap_power, onemap_telecom, onemap_address, onemap_admin, onemap_identity;
GRANT SELECT ON access.audit TO onemap_admin;
GRANT SELECT ON access."user", access.key TO onemap_identity;
GRANT SELECT (name, role, disabled, created_at) ON access."user" TO onemap_admin;
GRANT SELECT (id, user_name, prefix, created_at, expires_at, revoked_at) ON access.key TO onemap_admin;
