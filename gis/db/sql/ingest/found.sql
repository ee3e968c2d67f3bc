-- Findings of this load, before they are numbered; gone with the session.
CREATE TEMP TABLE IF NOT EXISTS found (
  layer text, code text, level text, src_row bigint, key text, field text, value text, message text, remedy text, geom geometry)
