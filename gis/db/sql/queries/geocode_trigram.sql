-- Addresses that hold something like a text: the last resort, bounded by the threshold set beforehand and by a time-out.
-- Of texts that match thousands of addresses (1幢101室) some thousand are compared, not all: nothing there is worth more.
-- Usage: gis/processes/geocode.py; index: address.full_text trgm (word similarity).
SELECT address_id, full_text, level, plate_id, ST_X(geom) AS lon, ST_Y(geom) AS lat,
       word_similarity(%(text)s, full_text) AS similarity
FROM (
  SELECT address_id, full_text, level, plate_id, geom
  FROM pub.address
  WHERE %(text)s <%% full_text
    AND stage NOT IN ('retired', 'rejected')
    AND (valid_from IS NULL OR valid_from <= %(day)s) AND (valid_to IS NULL OR valid_to > %(day)s)
  LIMIT 2000
) AS alike
ORDER BY similarity DESC, length(full_text), address_id
LIMIT 50
