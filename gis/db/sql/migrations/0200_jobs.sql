-- Long work: a queue in the database, so that a restart of any process loses nothing.
CREATE TABLE meta.job (
  id          uuid PRIMARY KEY DEFAULT gen_random_uuid(),
  process     text NOT NULL,
  inputs      jsonb NOT NULL,
  user_name   text NOT NULL DEFAULT coalesce(current_setting('app.user', true), ''),
  role        text NOT NULL,
  status      text NOT NULL DEFAULT 'accepted' CHECK (status IN ('accepted', 'running', 'successful', 'failed', 'dismissed')),
  progress    smallint NOT NULL DEFAULT 0 CHECK (progress BETWEEN 0 AND 100),
  message     text NOT NULL DEFAULT '',
  cancelled   boolean NOT NULL DEFAULT false,
  attempts    smallint NOT NULL DEFAULT 0,
  worker      text,
  result      json,
  error       jsonb,
  created_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
  started_at  timestamptz,
  updated_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
  finished_at timestamptz
);
COMMENT ON COLUMN meta.job.updated_at IS 'The heartbeat of the worker while the job runs';
-- Usage: the worker takes the oldest waiting job
CREATE INDEX job_waiting ON meta.job (created_at) WHERE status IN ('accepted', 'running');
-- Usage: the jobs of a user
CREATE INDEX job_user ON meta.job (user_name, created_at DESC);

-- A job is seen by the one who started it. Without a name nobody is told apart: whoever holds the id of such a job may follow it
-- (122 random bits), which the platform allows for one job at a time only and never in a list.
ALTER TABLE meta.job ENABLE ROW LEVEL SECURITY;
CREATE POLICY own_job ON meta.job
  USING (user_name = coalesce(current_setting('app.user', true), '') AND role = substr(current_user, 8))
  WITH CHECK (user_name = coalesce(current_setting('app.user', true), '') AND role = substr(current_user, 8));
CREATE POLICY admin_job ON meta.job FOR SELECT TO onemap_admin USING (true);

GRANT SELECT, INSERT (process, inputs, role), UPDATE (cancelled, status, message, updated_at, finished_at, result) ON meta.job
  TO onemap_anonymous, onemap_planner, onemap_water, onemap_drainage, onemap_gas, onemap_heat, onemap_power, onemap_telecom,
     onemap_address, onemap_admin;
