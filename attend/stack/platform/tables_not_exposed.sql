-- The second default-privilege mode, `[api] auto_expose_new_tables = false`: what the platform takes back from
-- the defaults of 02_schemas.sql. It leaves TRUNCATE, REFERENCES, TRIGGER and MAINTAIN with the API roles, and
-- EXECUTE with PUBLIC; that is how such projects are, so it stays.

alter default privileges for role postgres in schema public
  revoke select, insert, update, delete on tables from anon, authenticated, service_role;
alter default privileges for role postgres in schema public
  revoke usage, select on sequences from anon, authenticated, service_role;
alter default privileges for role postgres in schema public
  revoke execute on functions from anon, authenticated, service_role;
