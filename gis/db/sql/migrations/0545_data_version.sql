-- The data version is asked for by every tile: counted as batches are published, not each time anew over all batches there ever were, and
-- by a function that is planned once per connection (one of SQL is planned for each statement that calls it).
CREATE TABLE meta.published (
  layer   text NOT NULL,
  scope   text,
  newest  bigint NOT NULL,
  batches bigint NOT NULL,
  UNIQUE NULLS NOT DISTINCT (layer, scope)
);
COMMENT ON TABLE meta.published IS 'Per layer and scope: the highest published batch that changed it, and how often one was (kept by triggers)';

INSERT INTO meta.published
SELECT l.layer, l.scope, max(b.id), count(*)
FROM meta.batch_layer l JOIN meta.batch b ON b.id = l.batch
WHERE b.status = 'published' AND l.inserted + l.updated + l.retired > 0
GROUP BY l.layer, l.scope;

CREATE FUNCTION meta.count_published(layer text, scope text, batch bigint) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog AS $$
  INSERT INTO meta.published AS p VALUES (layer, scope, batch, 1)
  ON CONFLICT (layer, scope) DO UPDATE SET newest = greatest(p.newest, excluded.newest), batches = p.batches + 1
$$;
REVOKE EXECUTE ON FUNCTION meta.count_published FROM PUBLIC;

-- A batch whose changes stand there already is published.
CREATE FUNCTION meta.on_batch_published() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
BEGIN
  PERFORM meta.count_published(l.layer, l.scope, NEW.id)
  FROM (SELECT layer, scope FROM meta.batch_layer WHERE batch = NEW.id AND inserted + updated + retired > 0 ORDER BY layer, scope) AS l;
  RETURN NULL;
END
$$;
CREATE TRIGGER published AFTER UPDATE OF status ON meta.batch
FOR EACH ROW WHEN ((OLD.status = 'published') <> (NEW.status = 'published')) EXECUTE FUNCTION meta.on_batch_published();

-- What a published batch changed is said, corrected or deleted (with its batch, which is gone by then): it counts on, never back.
CREATE FUNCTION meta.on_batch_layer() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
DECLARE
  told meta.batch_layer := CASE WHEN TG_OP = 'DELETE' THEN OLD ELSE NEW END;
BEGIN
  IF (told.inserted + told.updated + told.retired > 0 OR TG_OP = 'UPDATE')
     AND NOT EXISTS (SELECT FROM meta.batch WHERE id = told.batch AND status <> 'published') THEN
    PERFORM meta.count_published(told.layer, told.scope, told.batch);
  END IF;
  RETURN NULL;
END
$$;
CREATE TRIGGER published AFTER INSERT OR UPDATE OR DELETE ON meta.batch_layer FOR EACH ROW EXECUTE FUNCTION meta.on_batch_layer();

CREATE OR REPLACE FUNCTION meta.data_version(layers text[], in_scope text DEFAULT NULL) RETURNS text
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog AS $$
BEGIN
  -- Highest published batch and how often one was: a batch begun earlier and published later changes it too.
  RETURN (
    SELECT coalesce(max(p.newest), 0) || '.' || coalesce(sum(p.batches), 0)
    FROM meta.published AS p
    WHERE p.layer = ANY (layers) AND (in_scope IS NULL OR p.scope IS NULL OR p.scope = in_scope)
  );
END
$$;
