-- The moment from which the platform believes this batch: later than that of every batch before it.
UPDATE meta.batch SET status = 'published', finished_at = clock_timestamp(),
       recorded_at = greatest(clock_timestamp(), (SELECT max(recorded_at) + interval '1 microsecond' FROM meta.batch))
WHERE id = %(batch)s RETURNING recorded_at
