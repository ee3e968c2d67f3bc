-- Stages whose layer nobody loads now: what a dead process left in them must not count as delivered.
SELECT tablename FROM pg_tables WHERE schemaname = 'stage' AND tablename <> ALL (%(mine)s) AND pg_try_advisory_xact_lock(%(class)s, hashtext(tablename))
