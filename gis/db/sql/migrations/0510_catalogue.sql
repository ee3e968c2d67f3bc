-- What the catalogue tells of layers and deliveries, to whom may know: the tables behind it are the administrator's alone, so it is told
-- by functions that look at the rights of the role that asks.
CREATE FUNCTION meta.asking_role() RETURNS text LANGUAGE sql STABLE SET search_path = pg_catalog AS $$
  SELECT coalesce(nullif(current_setting('role', true), 'none'), session_user)
$$;
COMMENT ON FUNCTION meta.asking_role IS 'The role that this transaction took, also within functions that run with the rights of their owner';

CREATE FUNCTION meta.may_read(layer text) RETURNS boolean LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog AS $$
  SELECT coalesce(has_any_column_privilege(meta.asking_role()::name, to_regclass(format('pub.%I', layer)), 'SELECT'), true)
$$;
COMMENT ON FUNCTION meta.may_read IS 'Whether the role that asks reads a layer; a layer without a view (a raster) is judged by who names it';

CREATE FUNCTION meta.layer_facts(asked text[])
RETURNS TABLE (layer text, created timestamptz, updated timestamptz, version text, batch bigint, delivered timestamptz)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog AS $$
  SELECT a.layer, min(b.recorded_at), max(b.recorded_at) FILTER (WHERE l.inserted + l.updated + l.retired > 0),
         meta.data_version(ARRAY[a.layer]), max(b.id) FILTER (WHERE b.kind = 'load'), max(b.recorded_at) FILTER (WHERE b.kind = 'load')
  FROM unnest(asked) AS a(layer) JOIN meta.batch_layer l ON l.layer = a.layer JOIN meta.batch b ON b.id = l.batch
  WHERE b.status = 'published' AND meta.may_read(a.layer)
  GROUP BY a.layer
$$;
COMMENT ON FUNCTION meta.layer_facts IS 'Since when there is a layer, when it changed and was delivered last, and its data version';

CREATE FUNCTION meta.findings_of(of_batch bigint, asked text[]) RETURNS TABLE (layer text, code text, level text, n bigint)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog AS $$
  SELECT f.layer, f.code, f.level, count(*) FROM meta.finding f
  WHERE f.batch = of_batch AND f.layer = ANY (asked) AND meta.may_read(f.layer)
  GROUP BY 1, 2, 3 ORDER BY 1, 2, 3
$$;
COMMENT ON FUNCTION meta.findings_of IS 'How many findings of each code a delivery had in these layers';

-- Usage: the catalogue's search for a delivery by the name of its file
CREATE INDEX batch_source_words ON meta.batch USING gin (source public.gin_trgm_ops) WHERE status = 'published' AND kind IN ('load', 'rollback');
-- Usage: the deliveries of a time
CREATE INDEX batch_delivered ON meta.batch (recorded_at) WHERE status = 'published' AND kind IN ('load', 'rollback');

CREATE FUNCTION meta.deliveries(asked text[], patterns text[], named text[], since timestamptz, until timestamptz, numbers bigint[], most bigint)
RETURNS TABLE (id bigint, kind text, source text, operator text, mode text, recorded_at timestamptz, layers text[], rows_read bigint,
               rows_loaded bigint, rows_rejected bigint, inserted bigint, updated bigint, retired bigint, rollback_of bigint,
               rolled_back_by bigint)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, public SET plan_cache_mode = force_custom_plan AS $$
DECLARE
  seen text[] := ARRAY(SELECT a.layer FROM unnest(asked) AS a(layer) WHERE meta.may_read(a.layer));
  knows boolean := meta.asking_role() = 'onemap_admin';
BEGIN
  RETURN QUERY
  SELECT b.id, b.kind, CASE WHEN s.whole THEN b.source END, CASE WHEN knows THEN b.operator END, b.mode, b.recorded_at, s.layers,
         s.rows_read, s.rows_loaded, s.rows_rejected, s.inserted, s.updated, s.retired, b.rollback_of, b.rolled_back_by
  FROM meta.batch b CROSS JOIN LATERAL (
    SELECT array_agg(DISTINCT l.layer) FILTER (WHERE l.layer = ANY (seen)) AS layers, bool_and(l.layer = ANY (seen)) AS whole,
           sum(l.rows_read) FILTER (WHERE l.layer = ANY (seen))::bigint AS rows_read,
           sum(l.rows_loaded) FILTER (WHERE l.layer = ANY (seen))::bigint AS rows_loaded,
           sum(l.rows_rejected) FILTER (WHERE l.layer = ANY (seen))::bigint AS rows_rejected,
           sum(l.inserted) FILTER (WHERE l.layer = ANY (seen))::bigint AS inserted,
           sum(l.updated) FILTER (WHERE l.layer = ANY (seen))::bigint AS updated,
           sum(l.retired) FILTER (WHERE l.layer = ANY (seen))::bigint AS retired
    FROM meta.batch_layer l WHERE l.batch = b.id) s
  WHERE b.status = 'published' AND b.kind IN ('load', 'rollback') AND s.layers IS NOT NULL
    AND (since IS NULL OR b.recorded_at >= since) AND (until IS NULL OR b.recorded_at < until)
    AND (numbers IS NULL OR b.id = ANY (numbers))
    AND (patterns IS NULL OR b.id IN (
      SELECT c.id FROM meta.batch c WHERE c.source ILIKE ANY (patterns) AND c.status = 'published' AND c.kind IN ('load', 'rollback')
      UNION SELECT l.batch FROM meta.batch_layer l WHERE l.layer = ANY (named)))
    AND (patterns IS NULL OR s.layers && named OR (s.whole AND b.source ILIKE ANY (patterns)))
  ORDER BY b.id DESC LIMIT most;
END $$;
COMMENT ON FUNCTION meta.deliveries IS 'Published deliveries of the layers that the asking role reads, newest first: the name of a file only where all its layers are seen, the operator for the administrator';

REVOKE ALL ON FUNCTION meta.asking_role, meta.may_read, meta.layer_facts, meta.findings_of, meta.deliveries FROM PUBLIC;
GRANT EXECUTE ON FUNCTION meta.asking_role, meta.may_read, meta.layer_facts, meta.findings_of, meta.deliveries
  TO onemap_anonymous, onemap_planner, onemap_water, onemap_drainage, onemap_gas, onemap_heat, onemap_power, onemap_telecom,
     onemap_address, onemap_admin;
