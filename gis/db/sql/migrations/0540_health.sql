-- Whether the database is as new as the program: asked by /health with the role that looks up keys, which has no other rows to read.
GRANT USAGE ON SCHEMA meta TO onemap_identity;
GRANT SELECT (number) ON meta.migration TO onemap_identity;
