-- What was published into some layers since a moment: for those who keep something made from the data and want to know whether only
-- states of features have changed. `before` counts the batches recorded up to the moment: where it differs from the number known then, one
-- that was recorded earlier has been published later. `updates_only`: since then no feature came or went, and nothing was rolled back.
CREATE FUNCTION meta.changes_since(layers text[], in_scope text, since timestamptz)
RETURNS TABLE (before bigint, newest timestamptz, changed text[], updates_only boolean)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog AS $$
  SELECT count(*) FILTER (WHERE b.recorded_at <= since), max(b.recorded_at),
         coalesce(array_agg(DISTINCT l.layer) FILTER (WHERE b.recorded_at > since), '{}'),
         coalesce(bool_and(b.kind <> 'rollback' AND l.inserted + l.retired = 0) FILTER (WHERE b.recorded_at > since), true)
  FROM meta.batch_layer l JOIN meta.batch b ON b.id = l.batch
  WHERE b.status = 'published' AND l.layer = ANY (layers) AND (in_scope IS NULL OR l.scope IS NULL OR l.scope = in_scope)
    AND l.inserted + l.updated + l.retired > 0
$$;
COMMENT ON FUNCTION meta.changes_since IS 'Which of these layers changed since a moment, and whether only by updates of features';
REVOKE ALL ON FUNCTION meta.changes_since FROM PUBLIC;
GRANT EXECUTE ON FUNCTION meta.changes_since TO onemap_planner, onemap_water, onemap_admin;
