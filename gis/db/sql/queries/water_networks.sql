-- The names of the water networks, found by jumping from one to the next in the primary key.
WITH RECURSIVE name (network) AS (
  (SELECT network FROM pub.water_pipe ORDER BY network LIMIT 1)
  UNION ALL
  SELECT (SELECT p.network FROM pub.water_pipe p WHERE p.network > name.network ORDER BY p.network LIMIT 1)
  FROM name WHERE name.network IS NOT NULL
)
SELECT network FROM name WHERE network IS NOT NULL LIMIT 50
