-- pg_net 0.20.4 as its callers see it: same tables, signatures, errors. The background worker that sends is
-- attend/stack/background.py; net.wake() reaches it by NOTIFY, which Postgres delivers at commit and never after
-- a rollback, exactly when the real worker is woken.

create schema net;

create domain net.http_method as text
  check (value ilike 'get' or value ilike 'post' or value ilike 'delete');

-- Unlogged, as in the original: a crash of the server empties both tables.
create unlogged table net.http_request_queue (
  id bigserial,
  method net.http_method not null,
  url text not null,
  headers jsonb,
  body bytea,
  timeout_milliseconds int not null
);

create unlogged table net._http_response (
  id bigint,
  status_code integer,
  content_type text,
  headers jsonb,
  content text,
  timed_out boolean,
  error_msg text,
  created timestamptz not null default now()
);
create index _http_response_created_idx on net._http_response (created);

create function net.check_worker_is_up() returns void language plpgsql as $$
begin
  if not exists (select from pg_stat_activity a where a.application_name = 'pg_net worker') then
    raise exception using
      message = 'the pg_net background worker is not up',
      detail = 'the pg_net background worker is down due to an internal error and cannot process requests',
      hint = 'make sure that you didn''t modify any of pg_net internal tables';
  end if;
end
$$;
comment on function net.check_worker_is_up() is
  'raises an exception if the pg_net background worker is not up, otherwise it doesn''t return anything';

create function net.wait_until_running() returns void language plpgsql as $$
begin
  while not exists (select from pg_stat_activity a where a.application_name = 'pg_net worker') loop
    perform pg_sleep(0.05);
    perform pg_stat_clear_snapshot();
  end loop;
end
$$;
comment on function net.wait_until_running() is 'waits until the worker is running';

create function net.wake() returns void language sql as $$ select pg_notify('attend_net_wake', '') $$;

create function net.worker_restart() returns boolean language plpgsql as $$
begin
  perform pg_notify('attend_net_wake', 'restart');
  return true;
end
$$;

create function net._await_response(request_id bigint) returns boolean language plpgsql as $$
begin
  while not exists (select from net._http_response r where r.id = request_id) loop
    perform pg_sleep(0.05);
  end loop;
  return true;
end
$$;

-- Percent-encodes everything outside RFC 3986 "unreserved", byte by byte of the UTF-8 form.
create function net._urlencode_string(string character varying) returns text language sql immutable as $$
  select case when string ~ '^[A-Za-z0-9._~-]*$' then string::text else (
    select coalesce(string_agg(
      case when b.byte between 48 and 57 or b.byte between 65 and 90 or b.byte between 97 and 122
             or b.byte in (45, 46, 95, 126)
        then chr(b.byte) else '%' || upper(lpad(to_hex(b.byte), 2, '0')) end, '' order by b.i), '')
    from (
      select i, get_byte(convert_to(string, 'UTF8'), i) as byte
      from generate_series(0, octet_length(convert_to(string, 'UTF8')) - 1) i
    ) b) end
$$;

-- The checks are those of curl's URL parser, in its words.
create function net._encode_url_with_params_array(url text, params_array text[]) returns text
language plpgsql immutable as $$
declare
  v_scheme text := lower(substring(url from '^([A-Za-z][A-Za-z0-9+.-]*)://'));
  v_authority text := substring(url from '^[A-Za-z][A-Za-z0-9+.-]*://([^/?#]*)');
  v_host_port text := regexp_replace(v_authority, '^.*@', '');
  v_port text := substring(v_host_port from ':([^:\]]*)$');
  v_rest text := substring(url from '^[A-Za-z][A-Za-z0-9+.-]*://[^/?#]*(.*)$');
  v_query text := array_to_string(params_array, '&');
  v_problem text;
begin
  if url is null then
    return null;
  end if;
  v_problem := case
    when v_scheme is null then 'Bad scheme'
    when v_scheme not in ('http', 'https', 'ftp', 'ftps', 'file', 'ws', 'wss') then 'Unsupported URL scheme'
    when url ~ '[[:cntrl:] ]' then 'Malformed input to a URL function'
    when coalesce(regexp_replace(v_host_port, ':[^:\]]*$', ''), '') = '' and v_scheme <> 'file'
      then 'No host part in the URL'
    when v_port <> '' and (v_port !~ '^[0-9]{1,9}$' or v_port::bigint > 65535)
      then 'Port number was not a decimal number between 0 and 65535'
  end;
  if v_problem is not null then
    raise exception using errcode = 'XX000', message = format('invalid URL "%s": %s', url, v_problem);
  end if;
  if v_rest !~ '^/' then
    v_rest := '/' || v_rest;
  end if;
  if v_query <> '' then
    v_rest := regexp_replace(v_rest, '^([^#]*)(#.*)?$',
      '\1' || case when v_rest ~ '^[^#]*\?' then '&' else '?' end || replace(v_query, '\', '\\') || '\2');
  end if;
  return v_scheme || '://' || v_authority || v_rest;
end
$$;

create function net.http_get(
  url text, params jsonb default '{}'::jsonb, headers jsonb default '{}'::jsonb,
  timeout_milliseconds integer default 5000
) returns bigint language plpgsql as $$
declare
  v_id bigint;
begin
  insert into net.http_request_queue (method, url, headers, timeout_milliseconds)
  values ('GET', net._encode_url_with_params_array(http_get.url, (
    select coalesce(array_agg(net._urlencode_string(p.key) || '=' || net._urlencode_string(p.value)), '{}')
    from jsonb_each_text(params) p
  )), http_get.headers, http_get.timeout_milliseconds)
  returning id into v_id;
  perform net.wake();
  return v_id;
end
$$;

create function net.http_post(
  url text, body jsonb default '{}'::jsonb, params jsonb default '{}'::jsonb,
  headers jsonb default '{"Content-Type": "application/json"}'::jsonb, timeout_milliseconds integer default 5000
) returns bigint language plpgsql as $$
declare
  v_id bigint;
  v_content_type text;
begin
  select h.value into v_content_type
  from jsonb_each_text(coalesce(http_post.headers, '{}'::jsonb)) h where lower(h.key) = 'content-type' limit 1;
  if v_content_type is null then
    http_post.headers := http_post.headers || '{"Content-Type": "application/json"}'::jsonb;
  elsif v_content_type <> 'application/json' then
    raise exception 'Content-Type header must be "application/json"';
  end if;
  insert into net.http_request_queue (method, url, headers, body, timeout_milliseconds)
  values ('POST', net._encode_url_with_params_array(http_post.url, (
    select coalesce(array_agg(net._urlencode_string(p.key) || '=' || net._urlencode_string(p.value)), '{}')
    from jsonb_each_text(params) p
  )), http_post.headers, convert_to(http_post.body::text, 'UTF8'), http_post.timeout_milliseconds)
  returning id into v_id;
  perform net.wake();
  return v_id;
end
$$;

create function net.http_delete(
  url text, params jsonb default '{}'::jsonb, headers jsonb default '{}'::jsonb,
  timeout_milliseconds integer default 5000, body jsonb default null
) returns bigint language plpgsql as $$
declare
  v_id bigint;
begin
  insert into net.http_request_queue (method, url, headers, body, timeout_milliseconds)
  values ('DELETE', net._encode_url_with_params_array(http_delete.url, (
    select coalesce(array_agg(net._urlencode_string(p.key) || '=' || net._urlencode_string(p.value)), '{}')
    from jsonb_each_text(params) p
  )), http_delete.headers, convert_to(http_delete.body::text, 'UTF8'), http_delete.timeout_milliseconds)
  returning id into v_id;
  perform net.wake();
  return v_id;
end
$$;

create type net.request_status as enum ('PENDING', 'SUCCESS', 'ERROR');
create type net.http_response as (status_code integer, headers jsonb, body text);
create type net.http_response_result as (status net.request_status, message text, response net.http_response);

create function net._http_collect_response(request_id bigint, async boolean default true)
returns net.http_response_result language plpgsql as $$
declare
  v_row net._http_response;
begin
  if not async then
    perform net._await_response(request_id);
  end if;
  select r.* into v_row from net._http_response r where r.id = request_id;
  if v_row.id is null or v_row.error_msg is not null then
    return ('ERROR', coalesce(v_row.error_msg, 'request matching request_id not found'), null)
      ::net.http_response_result;
  end if;
  return ('SUCCESS', 'ok', (v_row.status_code, v_row.headers, v_row.content)::net.http_response)
    ::net.http_response_result;
end
$$;

create function net.http_collect_response(request_id bigint, async boolean default true)
returns net.http_response_result language plpgsql as $$
begin
  raise notice 'The net.http_collect_response function is deprecated.';
  return net._http_collect_response(request_id, async);
end
$$;

grant usage on schema net to public;
grant all on all sequences in schema net to public;
grant all on all tables in schema net to public;
grant usage on schema net to supabase_functions_admin, postgres, anon, authenticated, service_role;
