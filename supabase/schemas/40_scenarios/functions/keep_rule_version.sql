create function private.keep_rule_version() returns trigger
language plpgsql security definer
set search_path = ''
as $$
begin
  if tg_op <> 'INSERT' then
    if tg_op = 'UPDATE' and new.version = old.version then
      return null;
    end if;
    update private.rule_clocks c set evaluated_until = '-infinity'
    where tg_op = 'UPDATE' and c.organization_id = old.organization_id and c.rule_id = old.id;
    update public.scenario_rule_versions v set valid_to = now()
    where v.organization_id = old.organization_id and v.rule_id = old.id and v.valid_to = 'infinity';
  end if;
  if tg_op = 'DELETE' then
    -- What it decided and is not sent yet is to be taken back.
    perform private.mark_people(array_agg(p.organization_id), array_agg(p.user_id))
    from (
      select distinct o.organization_id, o.user_id
      from private.outbox o
      join public.notifications n on n.organization_id = o.organization_id and n.id = o.notification_id
      where o.organization_id = old.organization_id and o.state in ('pending', 'deferred', 'failed') and n.rule_id = old.id
    ) p;
  else
    insert into public.scenario_rule_versions (organization_id, rule_id, version, rule)
    values (new.organization_id, new.id, new.version, to_jsonb(new));
    if tg_op = 'INSERT' then
      insert into private.rule_clocks (organization_id, rule_id) values (new.organization_id, new.id);
    end if;
  end if;
  return null;
end;
$$;
-- Definer because whoever may change rules may not rewrite their history.
comment on function private.keep_rule_version() is
  'Trigger on public.scenario_rules: keeps every version, and makes everybody the rule concerns due for the next tick.';
revoke all on function private.keep_rule_version() from public, anon, authenticated, service_role;
