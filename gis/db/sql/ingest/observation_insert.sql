INSERT INTO observed.value (at, value, batch, series, quality)
SELECT at, value, %(batch)s, series, quality FROM incoming ON CONFLICT (series, at) DO NOTHING
