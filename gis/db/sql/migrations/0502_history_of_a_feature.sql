-- Which batches changed a layer at these moments: for whoever reads the whole layer. Name and operator for whoever may write it, and for
-- administrators and auditors.
CREATE FUNCTION meta.batches_at(in_layer text, moments timestamptz[])
RETURNS TABLE (recorded_at timestamptz, batch bigint, kind text, source text, operator text)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog AS $$
DECLARE
  asking text := access.base_role();
  knows boolean := asking IN ('admin', 'auditor')
    OR coalesce(has_table_privilege(to_regrole('onemap_' || asking)::oid, to_regclass(format('core.%I', in_layer))::oid, 'UPDATE'), false);
BEGIN
  RETURN QUERY
  SELECT b.recorded_at, b.id, b.kind, CASE WHEN knows THEN b.source END, CASE WHEN knows THEN b.operator END
  FROM meta.batch b
  WHERE b.recorded_at = ANY (moments) AND b.status = 'published' AND meta.may_read(in_layer)
    AND EXISTS (SELECT FROM meta.batch_layer l WHERE l.batch = b.id AND l.layer = in_layer);
END $$;
COMMENT ON FUNCTION meta.batches_at IS 'The batches that changed a layer at these moments, as far as the asking role may know of them';

REVOKE ALL ON FUNCTION meta.batches_at FROM PUBLIC;
GRANT EXECUTE ON FUNCTION meta.batches_at TO onemap_anonymous, onemap_planner, onemap_water, onemap_drainage, onemap_gas, onemap_heat,
      onemap_power, onemap_telecom, onemap_address, onemap_admin;
