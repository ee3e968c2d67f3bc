-- Loads at set times: what is due when, and what came of every run.
CREATE TABLE meta.scheduled_job (
  job     text PRIMARY KEY,
  times   text NOT NULL,
  next_at timestamptz NOT NULL,
  note    text
);
COMMENT ON TABLE meta.scheduled_job IS 'The jobs that the worker runs by the clock; next_at moves on when a run has ended, so a missed time is made up for once';
COMMENT ON COLUMN meta.scheduled_job.note IS 'Why a due job does not run yet';

CREATE TABLE meta.scheduler (
  one     boolean PRIMARY KEY DEFAULT true CHECK (one),
  worker  text NOT NULL,
  beat_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  fault   text
);
COMMENT ON TABLE meta.scheduler IS 'The worker that keeps the times, its last sign of life, and what is wrong with the file of jobs';

CREATE TABLE meta.job_run (
  id            bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  job           text NOT NULL,
  trigger       text NOT NULL CHECK (trigger IN ('schedule', 'command')),
  due_at        timestamptz,
  status        text NOT NULL DEFAULT 'running'
                CHECK (status IN ('running', 'done', 'unchanged', 'rejected', 'failed', 'interrupted', 'dry_run')),
  source        text,
  sha256        text,
  batches       bigint[] NOT NULL DEFAULT '{}',
  rows_read     bigint,
  rows_loaded   bigint,
  rows_rejected bigint,
  inserted      bigint,
  updated       bigint,
  retired       bigint,
  unchanged     bigint,
  findings      jsonb NOT NULL DEFAULT '{}',
  progress      text,
  message       text,
  error         jsonb,
  exit_code     int,
  operator      text NOT NULL DEFAULT '',
  worker        text NOT NULL DEFAULT '',
  started_at    timestamptz NOT NULL DEFAULT clock_timestamp(),
  finished_at   timestamptz,
  CHECK (rows_read = rows_loaded + rows_rejected)
);
COMMENT ON COLUMN meta.job_run.sha256 IS 'Digest of the files and of the definition: what the next run compares with';
-- Usage: the last runs of a job, the last one that came to a result
CREATE INDEX job_run_job ON meta.job_run (job, id DESC);

-- The last run of every job that ever ran, found by walking the index: the history may hold a run for every minute of a year.
CREATE VIEW meta.last_job_run WITH (security_invoker) AS
WITH RECURSIVE name AS (
  (SELECT job FROM meta.job_run ORDER BY job LIMIT 1)
  UNION ALL
  SELECT (SELECT r.job FROM meta.job_run r WHERE r.job > name.job ORDER BY r.job LIMIT 1) FROM name WHERE name.job IS NOT NULL
)
SELECT r.*, (SELECT g.finished_at FROM meta.job_run g WHERE g.job = r.job AND g.status IN ('done', 'unchanged') ORDER BY g.id DESC LIMIT 1)
       AS succeeded_at, r.status IN ('failed', 'rejected', 'interrupted') AS failing
FROM name CROSS JOIN LATERAL (SELECT * FROM meta.job_run j WHERE j.job = name.job AND j.status <> 'dry_run' ORDER BY j.id DESC LIMIT 1) r;

GRANT SELECT ON meta.scheduled_job, meta.scheduler, meta.job_run, meta.last_job_run TO onemap_admin;
