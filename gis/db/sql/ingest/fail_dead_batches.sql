-- A running load holds a lock on its batch. A batch that is still 'loading' and whose lock is free belongs to a process that died:
-- its rows never reached core (they would have arrived together with 'published').
UPDATE meta.batch SET status = 'failed', finished_at = clock_timestamp(), message = 'the process that loaded it ended before it had finished'
WHERE status = 'loading' AND id <> %(batch)s AND pg_try_advisory_xact_lock(%(class)s, (id %% 2147483647)::int)
