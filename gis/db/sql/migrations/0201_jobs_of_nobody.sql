-- 0200 says that nobody in particular has one job at a time. Callers without a name cannot be told apart, so that would let each
-- of them shut out all others. What holds is said here, and bounded where jobs are submitted.
COMMENT ON POLICY own_job ON meta.job IS
  'A job is seen by the one who started it. Jobs of nobody in particular are followed and dismissed by whoever holds their id '
  '(122 random bits); they are in no list, and all of them together may be only a few at a time';
