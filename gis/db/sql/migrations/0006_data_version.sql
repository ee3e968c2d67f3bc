-- A delivery that changed nothing is no new version: what was built from the data stays good.
CREATE OR REPLACE FUNCTION meta.data_version(layers text[], in_scope text DEFAULT NULL) RETURNS text
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog AS $$
  -- Highest published batch and how many there are: a batch begun earlier and published later changes it too.
  SELECT coalesce(max(b.id), 0) || '.' || count(*)
  FROM meta.batch_layer l JOIN meta.batch b ON b.id = l.batch
  WHERE b.status = 'published' AND l.layer = ANY (layers) AND (in_scope IS NULL OR l.scope IS NULL OR l.scope = in_scope)
    AND l.inserted + l.updated + l.retired > 0
$$;
