set check_function_bodies = off; -- functions come before the tables they read; every body is exercised by the tests

-- What everything else stands on: our private schema, the extensions we use, the roles people have.

create schema if not exists private;
comment on schema private is 'Attend: everything that is not part of the API. Never exposed.';
revoke all on schema private from public, anon;
grant usage on schema private to authenticated, service_role;

create extension if not exists pgcrypto with schema extensions;
create extension if not exists pg_net with schema extensions;

create type public.user_role as enum ('peer_mentor', 'coordinator', 'servant', 'manager', 'admin');
comment on type public.user_role is 'What a person may do in the organisation. One role each; nobody changes their own.';
