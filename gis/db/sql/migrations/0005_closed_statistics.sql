-- Readers hold rights on whole tables whose schemas are closed to them (their views ask for every column); the planner's
-- statistics would show them the commonest values of columns that their views leave out.
DO $$
BEGIN
  REVOKE ALL ON pg_catalog.pg_stats, pg_catalog.pg_stats_ext, pg_catalog.pg_stats_ext_exprs FROM PUBLIC;
EXCEPTION WHEN insufficient_privilege THEN
  RAISE NOTICE 'the statistics views belong to another role; ask a superuser to revoke pg_stats from PUBLIC';
END $$;
