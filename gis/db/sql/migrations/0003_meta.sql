-- Whence, when, by whom: one batch is one delivery, which may cover several layers.
CREATE TABLE meta.source (
  sha256  text PRIMARY KEY CHECK (sha256 ~ '^[0-9a-f]{64}$'),
  name    text NOT NULL,
  bytes   bigint NOT NULL CHECK (bytes >= 0),
  kept_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
COMMENT ON TABLE meta.source IS 'Delivered files, kept in the home under sources/<sha256>';

CREATE TABLE meta.batch (
  id             bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  kind           text NOT NULL DEFAULT 'load' CHECK (kind IN ('load', 'rollback', 'edit')),
  source         text,
  sha256         text,
  bytes          bigint,
  operator       text NOT NULL DEFAULT '',
  mode           text CHECK (mode IN ('replace', 'append', 'update')),
  status         text NOT NULL DEFAULT 'loading' CHECK (status IN ('loading', 'published', 'rejected', 'failed', 'dry_run')),
  started_at     timestamptz NOT NULL DEFAULT clock_timestamp(),
  recorded_at    timestamptz,
  finished_at    timestamptz,
  rollback_of    bigint REFERENCES meta.batch,
  rolled_back_by bigint REFERENCES meta.batch,
  message        text
);
COMMENT ON COLUMN meta.batch.recorded_at IS 'From this moment the platform believes what the batch says';

CREATE TABLE meta.batch_layer (
  batch         bigint NOT NULL REFERENCES meta.batch ON DELETE CASCADE,
  layer         text NOT NULL,
  scope         text,
  rows_read     bigint NOT NULL DEFAULT 0,
  rows_loaded   bigint NOT NULL DEFAULT 0,
  rows_rejected bigint NOT NULL DEFAULT 0,
  inserted      bigint NOT NULL DEFAULT 0,
  updated       bigint NOT NULL DEFAULT 0,
  retired       bigint NOT NULL DEFAULT 0,
  unchanged     bigint NOT NULL DEFAULT 0,
  CHECK (rows_read = rows_loaded + rows_rejected),
  UNIQUE NULLS NOT DISTINCT (batch, layer, scope)
);
-- Usage: meta.data_version, batches of a layer
CREATE INDEX batch_layer_layer ON meta.batch_layer (layer, scope, batch);

CREATE TABLE meta.finding (
  id      bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  batch   bigint NOT NULL REFERENCES meta.batch ON DELETE CASCADE,
  layer   text NOT NULL,
  code    text NOT NULL,
  level   text NOT NULL CHECK (level IN ('info', 'warning', 'error', 'fatal')),
  src_row bigint,
  key     text,
  field   text,
  value   text,
  message text,
  remedy  text,
  geom    geometry(Geometry, 4490)
);
-- Usage: the report of a batch
CREATE INDEX finding_batch ON meta.finding (batch, code);

CREATE TABLE meta.reject (
  batch   bigint NOT NULL REFERENCES meta.batch ON DELETE CASCADE,
  layer   text NOT NULL,
  src_row bigint NOT NULL,
  codes   text[] NOT NULL,
  record  jsonb NOT NULL,
  geom    geometry
);
-- Usage: the rejects of a batch
CREATE INDEX reject_batch ON meta.reject (batch, layer, src_row);

CREATE TABLE meta.layer (
  layer      text NOT NULL,
  part       text NOT NULL,
  sha256     text NOT NULL,
  applied_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  PRIMARY KEY (layer, part)
);
COMMENT ON TABLE meta.layer IS 'What of each layer file was applied: a digest per part (view, comments, grants, indexes)';

CREATE FUNCTION meta.data_version(layers text[], in_scope text DEFAULT NULL) RETURNS text
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog AS $$
  -- Highest published batch and how many there are: a batch begun earlier and published later changes it too.
  SELECT coalesce(max(b.id), 0) || '.' || count(*)
  FROM meta.batch_layer l JOIN meta.batch b ON b.id = l.batch
  WHERE b.status = 'published' AND l.layer = ANY (layers) AND (in_scope IS NULL OR l.scope IS NULL OR l.scope = in_scope)
$$;
COMMENT ON FUNCTION meta.data_version IS 'An opaque text that changes whenever a batch that touched one of these layers is published';

GRANT EXECUTE ON FUNCTION meta.data_version TO onemap_anonymous, onemap_planner, onemap_water, onemap_drainage, onemap_gas, onemap_heat,
      onemap_power, onemap_telecom, onemap_address, onemap_admin;
GRANT SELECT ON meta.source, meta.batch, meta.batch_layer, meta.finding, meta.reject, meta.layer, meta.migration TO onemap_admin;
