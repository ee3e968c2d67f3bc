-- What is known otherwise goes to history and is corrected.
WITH other AS (
  SELECT o.*, i.value AS new_value, i.quality AS new_quality FROM incoming i JOIN observed.value o USING (series, at)
  WHERE o.value IS DISTINCT FROM i.value OR o.quality <> i.quality
), kept AS (
  INSERT INTO observed.superseded (at, value, batch, series, quality, superseded_by)
  SELECT at, value, batch, series, quality, %(batch)s FROM other
)
UPDATE observed.value o SET value = n.new_value, quality = n.new_quality, batch = %(batch)s FROM other n
WHERE o.series = n.series AND o.at = n.at
