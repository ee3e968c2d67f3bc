-- For each of many texts, in order of `item`, the addresses that are written exactly so. One pass over all addresses with a
-- hash of the texts beats thousands of look-ups in the trigram index, which is what the planner would do without the || ''.
-- Usage: gis/processes/geocode.py, files.
SELECT asked.item, a.address_id, a.full_text, a.level, a.plate_id, ST_X(a.geom) AS lon, ST_Y(a.geom) AS lat
FROM unnest(%(items)s::int[], %(texts)s::text[]) AS asked (item, text)
JOIN pub.address a ON a.full_text || '' = asked.text
WHERE a.stage NOT IN ('retired', 'rejected')
  AND (a.valid_from IS NULL OR a.valid_from <= %(day)s) AND (a.valid_to IS NULL OR a.valid_to > %(day)s)
