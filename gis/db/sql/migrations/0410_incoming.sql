-- A large first delivery is written once, into a table of its own that becomes core's when it is published.
CREATE SCHEMA IF NOT EXISTS incoming;
COMMENT ON SCHEMA incoming IS 'Tables of deliveries that fill an empty layer; each becomes core''s when it is published, and none outlives its load';
REVOKE ALL ON SCHEMA incoming FROM PUBLIC;
