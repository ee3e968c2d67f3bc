-- What each row of a change set says of itself, and the rows that it retires.
CREATE TEMP TABLE IF NOT EXISTS {change} (src_row bigint, op text, version text);
CREATE TEMP TABLE IF NOT EXISTS {retiring} (LIKE {stage})
