INSERT INTO observed.value (at, value, batch, series, quality)
SELECT at, value, batch, series, quality FROM observed.superseded WHERE superseded_by = %(of)s ON CONFLICT (series, at) DO NOTHING
