-- Rows that stay and refer to what this batch has retired, the first thousand: key, value, place, whether they are known to (`told`); how many
-- there are in all, and how many of them are not known to. What is gone is a difference of sets: of an anti join the planner
-- expects no row.
SELECT key, value, encode(ST_AsEWKB(ST_Force2D(geom)), 'hex'), known, total, strangers
FROM (SELECT f.*, count(*) OVER () AS total, count(*) FILTER (WHERE NOT known) OVER () AS strangers
      FROM (SELECT {key} AS key, l.{field}::text AS value, l.geom, coalesce({key} = ANY (%(told)s::text[]), false) AS known
            FROM {layer} l
            WHERE EXISTS (SELECT FROM (SELECT {referred} FROM {retired} EXCEPT SELECT {referred} FROM {target}) t WHERE {same})) f
      ORDER BY known, key LIMIT 1000) n
ORDER BY known, key
