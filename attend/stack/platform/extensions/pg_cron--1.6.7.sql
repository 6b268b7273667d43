-- pg_cron 1.6.7 as its callers see it: same tables, signatures, errors. The scheduler is
-- attend/stack/background.py; it learns of changes by NOTIFY from the trigger on cron.job.

create schema cron;
create sequence cron.jobid_seq;
create sequence cron.runid_seq;

create table cron.job (
  jobid bigint primary key default nextval('cron.jobid_seq'),
  schedule text not null,
  command text not null,
  nodename text not null default 'localhost',
  nodeport integer not null default inet_server_port(),
  database text not null default current_database(),
  username text not null default current_user,
  active boolean not null default true,
  jobname text,
  constraint jobname_username_uniq unique (jobname, username)
);
alter table cron.job enable row level security;
create policy cron_job_policy on cron.job using (username = current_user);

create table cron.job_run_details (
  jobid bigint,
  runid bigint primary key default nextval('cron.runid_seq'),
  job_pid integer,
  database text,
  username text,
  command text,
  status text,
  return_message text,
  start_time timestamptz,
  end_time timestamptz
);
alter table cron.job_run_details enable row level security;
create policy cron_job_run_details_policy on cron.job_run_details using (username = current_user);

create function cron.job_cache_invalidate() returns trigger language plpgsql as $$
begin
  perform pg_notify('attend_cron_changed', '');
  return null;
end
$$;
create trigger cron_job_cache_invalidate after insert or update or delete or truncate on cron.job
  for each statement execute function cron.job_cache_invalidate();

-- One field of a crontab line in the grammar of Vixie cron, which pg_cron parses with.
create function cron._attend_field_is_valid(p_field text, p_low int, p_high int, p_names text[])
returns boolean language plpgsql immutable set search_path = pg_catalog as $$
declare
  v_item text;
  v_parts text[];
  v_from int;
  v_to int;
begin
  foreach v_item in array string_to_array(lower(p_field), ',') loop
    v_parts := regexp_match(v_item, '^(?:(\*)|([a-z]{3}|\d{1,4})(?:-([a-z]{3}|\d{1,4}))?)(?:/(\d{1,4}))?$');
    if v_parts is null or v_parts[4]::int = 0 then
      return false;
    end if;
    continue when v_parts[1] is not null;
    v_from := case when v_parts[2] ~ '^\d' then v_parts[2]::int
      else array_position(p_names, v_parts[2]) - 1 + p_low end;
    v_to := case when v_parts[3] is null then v_from when v_parts[3] ~ '^\d' then v_parts[3]::int
      else array_position(p_names, v_parts[3]) - 1 + p_low end;
    if v_from is null or v_to is null or v_from < p_low or v_to > p_high or v_from > v_to then
      return false;
    end if;
  end loop;
  return p_field <> '';
end
$$;

-- Everything after the fifth field is ignored, as in the original: six fields are accepted and mean five.
create function cron._attend_schedule_is_valid(p_schedule text)
returns boolean language plpgsql immutable set search_path = pg_catalog as $$
declare
  v_fields text[] := regexp_split_to_array(btrim(p_schedule, E' \t'), '[ \t]+');
begin
  if p_schedule ~* '^\s*([1-9]|[1-5][0-9])\s+seconds?\s*$' then
    return true;
  end if;
  if v_fields[1] ~ '^@' then
    return lower(v_fields[1]) in
      ('@reboot', '@yearly', '@annually', '@monthly', '@weekly', '@daily', '@midnight', '@hourly');
  end if;
  return cardinality(v_fields) >= 5
    and cron._attend_field_is_valid(v_fields[1], 0, 59, '{}')
    and cron._attend_field_is_valid(v_fields[2], 0, 23, '{}')
    and (v_fields[3] = '$' or cron._attend_field_is_valid(v_fields[3], 1, 31, '{}'))
    and cron._attend_field_is_valid(v_fields[4], 1, 12,
      '{jan,feb,mar,apr,may,jun,jul,aug,sep,oct,nov,dec}')
    and cron._attend_field_is_valid(v_fields[5], 0, 7, '{sun,mon,tue,wed,thu,fri,sat}');
end
$$;

-- The original writes cron.job in C as the extension's owner. Definer because callers may not write that table;
-- the name of the user comes from the invoker's function, so it is held to roles the session may become.
create function cron._attend_put_job(
  p_caller text, p_jobname text, p_schedule text, p_command text, p_database text, p_username text, p_active boolean
) returns bigint language plpgsql security definer set search_path = pg_catalog as $$
declare
  v_username text := coalesce(p_username, p_caller);
  v_jobid bigint;
begin
  if not pg_has_role(session_user, p_caller, 'member') or not pg_has_role(p_caller, v_username, 'member') then
    raise exception using errcode = '42501', message = 'must be superuser to create a job for another role';
  end if;
  if not cron._attend_schedule_is_valid(p_schedule) then
    raise exception using errcode = '22023', message = format('invalid schedule: %s', p_schedule),
      hint = 'Use cron format (e.g. 5 4 * * *), or interval format ''[1-59] seconds''';
  end if;
  if not exists (select from pg_database d where d.datname = p_database) then
    raise exception using errcode = '3D000', message = format('database "%s" does not exist', p_database);
  end if;
  insert into cron.job (schedule, command, database, username, active, jobname)
  values (p_schedule, p_command, p_database, v_username, p_active, p_jobname)
  on conflict on constraint jobname_username_uniq do update
    set schedule = excluded.schedule, command = excluded.command, database = excluded.database,
        active = excluded.active
  returning jobid into v_jobid;
  return v_jobid;
end
$$;

create function cron._attend_change_job(
  p_caller text, p_job_id bigint, p_schedule text, p_command text, p_database text, p_username text, p_active boolean
) returns void language plpgsql security definer set search_path = pg_catalog as $$
begin
  if not exists (
    select from cron.job j where j.jobid = p_job_id and j.username = p_caller
      and pg_has_role(session_user, p_caller, 'member')
  ) then
    raise exception using errcode = 'XX000',
      message = format('Job %s does not exist or you don''t own it', p_job_id);
  end if;
  if p_schedule is not null and not cron._attend_schedule_is_valid(p_schedule) then
    raise exception using errcode = '22023', message = format('invalid schedule: %s', p_schedule);
  end if;
  if p_username is not null and not pg_has_role(p_caller, p_username, 'member') then
    raise exception using errcode = '42501', message = 'must be superuser to alter username';
  end if;
  update cron.job j set
    schedule = coalesce(p_schedule, j.schedule), command = coalesce(p_command, j.command),
    database = coalesce(p_database, j.database), username = coalesce(p_username, j.username),
    active = coalesce(p_active, j.active)
  where j.jobid = p_job_id;
end
$$;

create function cron._attend_drop_job(p_caller text, p_job_id bigint)
returns boolean language plpgsql security definer set search_path = pg_catalog as $$
begin
  delete from cron.job j
  where j.jobid = p_job_id and j.username = p_caller and pg_has_role(session_user, p_caller, 'member');
  return found;
end
$$;

create function cron._attend_refuse_null(p_name text, p_is_null boolean) returns void language plpgsql as $$
begin
  if p_is_null then
    raise exception using errcode = 'XX000', message = format('%s can not be NULL', p_name);
  end if;
end
$$;

create function cron.schedule(job_name text, schedule text, command text) returns bigint language plpgsql as $$
begin
  perform cron._attend_refuse_null('job_name', job_name is null);
  perform cron._attend_refuse_null('schedule', schedule.schedule is null);
  perform cron._attend_refuse_null('command', schedule.command is null);
  return cron._attend_put_job(
    current_user, job_name, schedule.schedule, schedule.command, current_database(), null, true);
end
$$;

create function cron.schedule(schedule text, command text) returns bigint language plpgsql as $$
begin
  perform cron._attend_refuse_null('schedule', schedule.schedule is null);
  perform cron._attend_refuse_null('command', schedule.command is null);
  return cron._attend_put_job(
    current_user, null, schedule.schedule, schedule.command, current_database(), null, true);
end
$$;

create function cron.schedule_in_database(
  job_name text, schedule text, command text, database text, username text default null, active boolean default true
) returns bigint language plpgsql as $$
begin
  perform cron._attend_refuse_null('job_name', job_name is null);
  perform cron._attend_refuse_null('schedule', schedule is null);
  perform cron._attend_refuse_null('command', command is null);
  perform cron._attend_refuse_null('database', database is null);
  return cron._attend_put_job(
    current_user, job_name, schedule, command, database, username, coalesce(active, true));
end
$$;

create function cron.alter_job(
  job_id bigint, schedule text default null, command text default null, database text default null,
  username text default null, active boolean default null
) returns void language plpgsql as $$
begin
  perform cron._attend_refuse_null('job_id', job_id is null);
  perform cron._attend_change_job(current_user, job_id, schedule, command, database, username, active);
end
$$;

create function cron.unschedule(job_id bigint) returns boolean language plpgsql as $$
begin
  if not cron._attend_drop_job(current_user, job_id) then
    raise exception using errcode = 'XX000', message = format('could not find valid entry for job %s', job_id);
  end if;
  return true;
end
$$;

create function cron.unschedule(job_name text) returns boolean language plpgsql as $$
begin
  if not coalesce((
    select cron._attend_drop_job(current_user, j.jobid)
    from cron.job j where j.jobname = job_name and j.username = current_user
  ), false) then
    raise exception using errcode = 'XX000', message = format('could not find valid entry for job ''%s''', job_name);
  end if;
  return true;
end
$$;

-- The platform's grants: postgres calls the functions and reads cron.job, and may not write that table.
revoke all on function cron.schedule_in_database(text, text, text, text, text, boolean) from public;
revoke all on function cron.alter_job(bigint, text, text, text, text, boolean) from public;
grant usage on schema cron to postgres with grant option;
grant all on all functions in schema cron to postgres with grant option;
grant all on all sequences in schema cron to postgres with grant option;
grant all on all tables in schema cron to postgres with grant option;
revoke all on table cron.job from postgres;
grant select on table cron.job to postgres with grant option;
grant select on table cron.job, cron.job_run_details to public;
grant delete on table cron.job_run_details to public;

select pg_catalog.pg_extension_config_dump('cron.job', '');
select pg_catalog.pg_extension_config_dump('cron.jobid_seq', '');
