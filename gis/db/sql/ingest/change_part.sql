-- A row that is to be retired needs nothing but its key.
WITH gone AS (DELETE FROM {stage} s USING {change} o WHERE o.src_row = s.src_row AND o.op = 'D' RETURNING s.*)
INSERT INTO {retiring} SELECT * FROM gone
