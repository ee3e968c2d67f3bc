SELECT count(DISTINCT src_row) FROM found WHERE layer = %(layer)s AND code IN ('GEO04', 'GEO07')
