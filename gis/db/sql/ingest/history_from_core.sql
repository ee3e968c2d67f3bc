-- Rows that stop being believed now.
INSERT INTO {history} ({all_columns}, recorded_to)
SELECT {all_columns}, %(recorded_at)s FROM {core} WHERE fid IN (SELECT fid FROM diff WHERE what = ANY (%(what)s))
