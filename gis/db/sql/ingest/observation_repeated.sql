-- Of several rows for the same moment of a series the last one counts. Few rows have company, so only those are put in order.
WITH twice AS (
  SELECT series, at FROM judged WHERE code IS NULL GROUP BY series, at HAVING count(*) > 1
), followed AS (
  SELECT src_row, stored, lead(stored) OVER same AS next_stored, lead(src_row) OVER same IS NOT NULL AS has_next
  FROM judged JOIN twice USING (series, at) WHERE code IS NULL
  WINDOW same AS (PARTITION BY series, at ORDER BY src_row)
)
UPDATE judged j SET code = CASE WHEN f.next_stored <> f.stored THEN 'OBS07' ELSE 'OBS08' END
FROM followed f WHERE f.has_next AND f.src_row = j.src_row
