-- One webhook id that is sent to several functions: each works, and answers by itself.
set check_function_bodies = off;

alter table private.webhook_deliveries
  add column function_name text not null default '',
  drop constraint webhook_deliveries_pkey,
  add primary key (id, function_name);
comment on table private.webhook_deliveries is
  'Answers given, by webhook id and function: the same delivery twice gets the same answer and no new effect. A sender may tell several of one event, by one id.';
comment on column private.webhook_deliveries.function_name is 'Empty where a function answered that does not say which it is, as of a version before.';

drop function public.find_webhook_delivery(text);
create function public.find_webhook_delivery(p_id text, p_function_name text default '') returns jsonb
language plpgsql
set search_path = ''
as $$
begin
  -- Asked right before the work that the bell was rung for: whoever comes later needs another (private.ring_again).
  update private.rings r set answered_at = clock_timestamp() where r.bell_id = p_id and r.answered_at is null;
  return (select wd.answer from private.webhook_deliveries wd where wd.id = p_id and wd.function_name = p_function_name);
end;
$$;
comment on function public.find_webhook_delivery(text, text) is
  'The answer that a function has already given to a webhook id, else null. Asked before any work: notes that the bell of this id has reached a function.';
revoke all on function public.find_webhook_delivery(text, text) from public, anon, authenticated, service_role;
grant execute on function public.find_webhook_delivery(text, text) to service_role;

drop function public.record_webhook_delivery(text, jsonb);
create function public.record_webhook_delivery(p_id text, p_answer jsonb, p_function_name text default '') returns jsonb
language plpgsql
set search_path = ''
as $$
declare
  v_answer jsonb;
begin
  insert into private.webhook_deliveries (id, answer, function_name) values (p_id, p_answer, p_function_name)
  on conflict (id, function_name) do nothing
  returning answer into v_answer;
  if not found then
    select wd.answer into v_answer from private.webhook_deliveries wd where wd.id = p_id and wd.function_name = p_function_name;
  end if;
  return v_answer;
end;
$$;
comment on function public.record_webhook_delivery(text, jsonb, text) is
  'Records a function''s answer to a webhook id and returns the one that counts: its first.';
revoke all on function public.record_webhook_delivery(text, jsonb, text) from public, anon, authenticated, service_role;
grant execute on function public.record_webhook_delivery(text, jsonb, text) to service_role;

create or replace function private.ring_health(p_now timestamptz)
returns table (name text, finding text, since timestamptz, figures jsonb)
language plpgsql stable
set search_path = ''
set plan_cache_mode = force_custom_plan
as $$
begin
  -- Planned for this very quarter of an hour: without its bounds a plan reads the whole day.
  return query
  select f.function_name,
    -- One lost bell is followed by the sweep's within a minute: it takes two, and the time of both.
    case when u.unanswered > 1 and u.unanswered_since < p_now - interval '150 seconds' then 'function_silent' end,
    u.unanswered_since,
    jsonb_build_object('rung_by_writers', coalesce(b.rung, 0), 'minutes', 15, 'rung', r.rung, 'handled', r.handled,
      'last_rung_at', r.last_rung_at, 'last_handled_at', r.last_handled_at, 'unanswered', u.unanswered,
      'seconds_to_handle', round(extract(epoch from r.typical)::numeric, 3))
  from (select x.function_name from private.bells x union select x.function_name from private.schedules x where x.function_name is not null) f
  left join private.bells b on b.function_name = f.function_name
  cross join lateral (
    select count(*) as rung, count(wd.id) as handled, max(i.rung_at) as last_rung_at, max(wd.received_at) as last_handled_at,
      max(i.rung_at) filter (where wd.id is not null) as handled_until,
      percentile_cont(0.5) within group (order by wd.received_at - i.rung_at) as typical
    from private.rings i
    left join private.webhook_deliveries wd on wd.id = i.bell_id and wd.function_name in (i.function_name, '')
    where i.function_name = f.function_name and i.rung_at > p_now - interval '15 minutes'
  ) r
  cross join lateral (
    select count(*) as unanswered, min(i.rung_at) as unanswered_since
    from private.rings i
    where i.function_name = f.function_name and i.rung_at > coalesce(r.handled_until, p_now - interval '15 minutes')
  ) u;
end;
$$;
comment on function private.ring_health(timestamptz) is
  'For each function, calls queued against calls handled in the last quarter of an hour, and whether it has gone silent. A handled call is known by its id; one that only arrived is not.';
revoke all on function private.ring_health(timestamptz) from public, anon, authenticated, service_role;
grant execute on function private.ring_health(timestamptz) to service_role;
