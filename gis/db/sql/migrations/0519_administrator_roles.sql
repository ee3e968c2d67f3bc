-- Three administrators with one duty each (GB/T 22239-2019, 8.1.4.2 d and 8.1.5): admin keeps the system, security the users, auditor reads the
-- audit. Security and auditor see what anybody sees: they are members of onemap_anonymous and of nothing else.
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
