INSERT INTO diff (fid, what) SELECT c.fid, 'gone' FROM {retiring} s JOIN {core} c ON {same_key}
