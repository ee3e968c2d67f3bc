-- The version of a layer is asked for by every tile that is kept: by the serving login itself, which then need not take a role first. The
-- table holds layers and numbers, of which nothing is told to anybody: they only enter the names under which tiles are kept.
GRANT USAGE ON SCHEMA meta TO onemap_login;
GRANT SELECT ON meta.published TO onemap_login;
