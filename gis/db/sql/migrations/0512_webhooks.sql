-- Who is told by HTTP that layers changed: what he was told last, what waits to be told, whether he still answers. The owner's alone.
CREATE TABLE access.webhook (
  id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  url          text NOT NULL CHECK (url ~ '^https?://'),
  user_name    text REFERENCES access."user" ON UPDATE CASCADE ON DELETE CASCADE,
  role         text,
  salt         text NOT NULL,
  state        text NOT NULL DEFAULT 'active' CHECK (state IN ('active', 'failed')),
  sequence     bigint NOT NULL DEFAULT 0,
  pending_id   uuid,
  pending      text,
  tokens       jsonb,
  failures     int NOT NULL DEFAULT 0,
  message      text,
  next_at      timestamptz NOT NULL DEFAULT clock_timestamp(),
  created_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
  delivered_at timestamptz,
  CHECK ((user_name IS NULL) <> (role IS NULL)),
  CHECK ((pending_id IS NULL) = (pending IS NULL))
);
COMMENT ON COLUMN access.webhook.salt IS 'With the secret of the home it makes the secret that signs: the database alone holds none';
COMMENT ON COLUMN access.webhook.pending IS 'The delivery that is under way: made once, sent until it is taken';
COMMENT ON COLUMN access.webhook.tokens IS 'Where the subscriber stands in each layer once the delivery is taken';

CREATE TABLE access.webhook_layer (
  webhook bigint NOT NULL REFERENCES access.webhook ON DELETE CASCADE,
  layer   text NOT NULL,
  token   text NOT NULL,
  PRIMARY KEY (webhook, layer)
);

-- Whoever keeps copies is woken when a batch is published, at the moment at which its rows can be read.
CREATE FUNCTION meta.tell_published() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog AS $$
BEGIN
  PERFORM pg_notify('onemap_published', '');
  RETURN NULL;
END $$;
CREATE TRIGGER tell_published AFTER INSERT OR UPDATE OF status ON meta.batch FOR EACH ROW WHEN (NEW.status = 'published')
  EXECUTE FUNCTION meta.tell_published();

-- Usage: whether anything was published since a subscriber was told
CREATE INDEX batch_published ON meta.batch (recorded_at) WHERE status = 'published';
