-- The EPANET file that a network was at a moment, as long as nothing had been changed by another delivery until then.
CREATE FUNCTION meta.network_model(in_network text, moment timestamptz) RETURNS TABLE (batch bigint, name text, sha256 text)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog AS $$
  WITH newest AS (
    SELECT b.id, b.source, b.sha256
    FROM meta.batch b
    WHERE b.status = 'published' AND (moment IS NULL OR b.recorded_at <= moment)
      AND EXISTS (SELECT FROM meta.batch_layer l
                  WHERE l.batch = b.id AND l.layer IN ('water_node', 'water_pipe', 'water_source')
                    AND (l.scope IS NULL OR l.scope = in_network) AND l.inserted + l.updated + l.retired > 0)
    ORDER BY b.recorded_at DESC, b.id DESC LIMIT 1
  )
  SELECT n.id, s.name, s.sha256
  FROM newest n JOIN meta.source s ON s.name = n.source AND s.name ILIKE '%.inp'
  -- a delivery of two files (the network and its valve layer) has the digest of both
  WHERE s.sha256 = n.sha256
     OR EXISTS (SELECT FROM meta.source v
                WHERE encode(sha256(convert_to(format(E'%s  %s\n%s  %s\n', s.sha256, s.name, v.sha256, v.name), 'UTF8')), 'hex') = n.sha256)
$$;
COMMENT ON FUNCTION meta.network_model(text, timestamptz) IS 'The kept EPANET file of a water network whose mains nobody had changed until a moment (null: now)';
REVOKE ALL ON FUNCTION meta.network_model(text, timestamptz) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION meta.network_model(text, timestamptz) TO onemap_planner, onemap_water, onemap_admin;
DROP FUNCTION meta.network_model(text);
