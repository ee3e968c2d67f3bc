-- Rows that stay and refer to what this batch has retired.
SELECT {key}, l.{field}::text, encode(ST_AsEWKB(ST_Force2D(l.geom)), 'hex')
FROM {layer} l WHERE EXISTS (SELECT FROM {retired} t WHERE {same}) AND NOT EXISTS (SELECT FROM {target} t WHERE {same}) ORDER BY 1 LIMIT 10000
