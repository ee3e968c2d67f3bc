-- What is not known yet. Nobody else loads observations meanwhile, so what is there need not be looked for row by row.
INSERT INTO observed.value (at, value, batch, series, quality)
SELECT at, value, %(batch)s, series, quality FROM incoming i
WHERE NOT EXISTS (SELECT FROM observed.value o WHERE o.series = i.series AND o.at = i.at)
ORDER BY series, at
