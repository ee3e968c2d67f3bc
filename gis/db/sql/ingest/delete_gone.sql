DELETE FROM {core} WHERE fid IN (SELECT fid FROM diff WHERE what = 'gone')
