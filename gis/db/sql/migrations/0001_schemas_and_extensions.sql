-- Extensions and the six rooms of the database. PUBLIC gets nothing; what a role may do is granted to it by name.
CREATE EXTENSION IF NOT EXISTS postgis;
CREATE EXTENSION IF NOT EXISTS pg_trgm;
CREATE EXTENSION IF NOT EXISTS btree_gist;

CREATE SCHEMA IF NOT EXISTS stage;
CREATE SCHEMA IF NOT EXISTS core;
CREATE SCHEMA IF NOT EXISTS history;
CREATE SCHEMA IF NOT EXISTS pub;
CREATE SCHEMA IF NOT EXISTS access;

COMMENT ON SCHEMA stage IS 'Deliveries while they are checked; nothing here is published';
COMMENT ON SCHEMA core IS 'Today''s belief: one row per feature';
COMMENT ON SCHEMA history IS 'What was believed before, with the time it stopped being believed';
COMMENT ON SCHEMA pub IS 'Views for readers, with grants by role and column';
COMMENT ON SCHEMA meta IS 'Batches, findings, rejects, sources, migrations: whence, when, by whom';
COMMENT ON SCHEMA access IS 'Users, keys and the audit';

REVOKE ALL ON SCHEMA public FROM PUBLIC;
REVOKE ALL ON SCHEMA stage, core, history, pub, meta, access FROM PUBLIC;
ALTER DEFAULT PRIVILEGES REVOKE ALL ON FUNCTIONS FROM PUBLIC;
ALTER DEFAULT PRIVILEGES REVOKE ALL ON TYPES FROM PUBLIC;

-- ST_EstimatedExtent answers from the statistics and so tells a role the extent of rows it may not see.
DO $$
DECLARE f regprocedure;
BEGIN
  FOR f IN SELECT oid::regprocedure FROM pg_proc WHERE proname IN ('st_estimatedextent', 'st_findextent', '_postgis_stats', '_postgis_selectivity')
  LOOP
    EXECUTE format('REVOKE ALL ON FUNCTION %s FROM PUBLIC', f);
  END LOOP;
EXCEPTION WHEN insufficient_privilege THEN
  RAISE NOTICE 'extension functions belong to another role; ask its owner to revoke ST_EstimatedExtent from PUBLIC';
END $$;
