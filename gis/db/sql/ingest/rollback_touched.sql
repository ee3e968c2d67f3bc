-- Whether a later batch touched a feature that an edit touched: a version of it that came or went with the later one.
WITH version AS NOT MATERIALIZED (
  SELECT {own_key}, s.batch, s.recorded_from, NULL::timestamptz AS recorded_to FROM {core} s
  UNION ALL SELECT {own_key}, s.batch, s.recorded_from, s.recorded_to FROM {history} s)
SELECT EXISTS (
  SELECT FROM version s JOIN version c ON {same_key}
  WHERE (s.recorded_from = %(at)s OR s.recorded_to = %(at)s) AND (c.recorded_from = %(later)s OR c.recorded_to = %(later)s))
