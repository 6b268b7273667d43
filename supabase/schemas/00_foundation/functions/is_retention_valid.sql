create function private.is_retention_valid(p_name text, p_keep_for interval) returns boolean
language sql immutable parallel safe
set search_path = ''
as $$
  -- Null is for ever. The floor is what something still reads: a webhook id while health compares it with the calls, a run while it
  -- looks at it, a history while a question about the past may be asked.
  select coalesce(p_keep_for >= m.floor, m.floor is not null)
  from (select case p_name
    when 'webhook_deliveries' then interval '1 day'
    when 'cron_log' then interval '1 day'
    when 'runs' then interval '7 days'
    when 'findings' then interval '7 days'
    when 'outbox' then interval '30 days'
    when 'held_decisions' then interval '30 days'
    when 'invitations' then interval '30 days'
    when 'notifications' then interval '90 days'
    when 'histories' then interval '90 days'
  end as floor) m;
$$;
comment on function private.is_retention_valid(text, interval) is
  'Whether a row of private.retention may be: a known name, kept for no less than its floor (null: for ever). Cooldowns, achievements, rule versions, activities and reports have no name here: what they say holds for ever.';
revoke all on function private.is_retention_valid(text, interval) from public, anon, authenticated, service_role;
grant execute on function private.is_retention_valid(text, interval) to service_role;
