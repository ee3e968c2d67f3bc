-- The roles of 0520 once more, in a file that a restore runs too: roles and their memberships belong to the server, not to the dump.
DO $$
DECLARE r text;
BEGIN
  FOREACH r IN ARRAY ARRAY['security', 'auditor']
  LOOP
    BEGIN
      EXECUTE format('CREATE ROLE %I NOLOGIN', 'onemap_' || r);
    EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL;
    END;
  END LOOP;
END $$;
GRANT onemap_anonymous TO onemap_security, onemap_auditor;
GRANT onemap_security, onemap_auditor TO onemap_login;
