-- Objects for behaviours that the recordings do not contain. Run as role postgres after fixture.sql.

create function api.write_visit() returns int language sql volatile
  as 'insert into api.visits (id, mentor_id) values (998, 1) returning id';
create function api.stable_caller() returns int language sql stable as 'select api.write_visit()';
create sequence api.tickets;
grant usage on sequence api.tickets to authenticated, service_role;
create function api.stable_ticket() returns bigint language sql stable as $$select nextval('api.tickets')$$;
create function api.short_nap() returns void language plpgsql volatile set statement_timeout = '200ms'
  as 'begin perform pg_sleep(5); end';
create function api.nap(seconds float) returns void language plpgsql volatile
  as 'begin perform pg_sleep(seconds); end';
create function api.rename_mentor(p_id bigint) returns void language sql volatile set statement_timeout = '200ms'
  as $$update api.mentors set name = 'renamed' where id = p_id$$;
create function api.setting(p_name text) returns text language sql stable as 'select current_setting(p_name, true)';
create function api.everything() returns json language sql stable as
  $$select json_build_object('role', current_user, 'session', session_user, 'path', current_setting('search_path'),
    'read_only', current_setting('transaction_read_only'), 'header', current_setting('request.headers', true)::json ->> 'x-probe',
    'cookies', current_setting('request.cookies', true)::json, 'claims', current_setting('request.jwt.claims', true)::json)$$;
create function api.writes_mode() returns text language sql volatile as $$select current_setting('transaction_read_only')$$;
create function api.pick(a int) returns text language sql as $$select 'int'$$;
create function api.pick(a text) returns text language sql as $$select 'text'$$;
create function api.takes_json(json) returns json language sql immutable as 'select $1';
create function api.join_words(variadic words text[]) returns text language sql immutable as $$select array_to_string(words, '-')$$;
create function api.one_column() returns table (x int) language sql stable as 'select 1';
create function api.no_rows_scalar() returns setof text language sql stable as 'select null::text where false';
create table api."Odd ""names%s" ("a b" int primary key, "c%d" text, "e""f" text default 'e');
insert into api."Odd ""names%s" values (1, 'one', 'x');
grant select, insert, update, delete on api."Odd ""names%s" to service_role;
create table api.stamped (id int primary key, code char(3), amount numeric(6, 2), checked bit(4), note varchar(5));
grant all on api.stamped to service_role;
grant execute on all functions in schema api to authenticated, service_role;
revoke execute on function api.secret() from authenticated;
grant execute on function api.everything(), api.setting(text) to anon;
