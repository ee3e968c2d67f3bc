-- Which database this is: files derived from its data must not be taken for those of another, or of one made anew.
SELECT c.system_identifier::text || '-' || d.oid::text AS identity
FROM pg_control_system() c, pg_database d
WHERE d.datname = current_database()
