-- One load per layer at a time: the layers that could not be locked. The locks live as long as the session.
SELECT layer FROM unnest(%(layers)s::text[]) AS layer WHERE NOT pg_try_advisory_lock(%(class)s, hashtext(layer)) ORDER BY layer
