-- What is rejected is not delivered: neither published nor referred to.
WITH gone AS (DELETE FROM {stage} s USING {rejected} r WHERE r.src_row = s.src_row RETURNING s.*)
INSERT INTO {aside} SELECT * FROM gone
