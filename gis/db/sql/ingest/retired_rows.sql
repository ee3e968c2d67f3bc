-- What this batch retires, for the check of what refers to it.
CREATE TEMP TABLE {retired} ON COMMIT DROP AS SELECT c.* FROM {core} c WHERE c.fid IN (SELECT fid FROM diff WHERE what = 'gone');
ANALYZE {retired}
