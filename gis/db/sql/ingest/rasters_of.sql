-- Every file that was made of a raster layer, with the source that it can be made of again.
SELECT DISTINCT r.sha256, coalesce(b.sha256, '-') FROM meta.raster r JOIN meta.batch b ON b.id = r.batch WHERE r.layer = %(layer)s
