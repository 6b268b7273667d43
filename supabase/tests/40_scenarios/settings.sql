-- Whoever is held because their day is full is looked at when what fits into it, or the day itself, changes.
begin;
\ir ../helpers.psql
select plan(10);
insert into public.organizations (id, name, time_zone) values (tests.id('k'), 'Caps', 'Europe/Oslo'), (tests.id('l'), 'Others', 'UTC');
insert into public.org_settings_kv select tests.id(o), 'notification_daily_cap', '1' from unnest('{k,l}'::text[]) o;
insert into public.users (organization_id, id, full_name, role, joined_at)
select tests.id(o), tests.id(o || ' ' || n), n, 'peer_mentor', '2024-01-01 00:00+00' from unnest('{k,l}'::text[]) o, unnest('{full,free}'::text[]) n;
insert into public.scenario_rules (organization_id, type, name, is_enabled, threshold_days)
select tests.id(o), 'inactivity', n, true, 21 from unnest('{k,l}'::text[]) o, unnest('{one,two}'::text[]) n;
select public.evaluate_people(tests.id(o), array[tests.id(o || ' full')], '2024-02-10 12:00+00') from unnest('{k,l}'::text[]) o;
delete from private.scenario_marks;
-- The rules have been looked at: whoever is evaluated below was marked.
update private.rule_clocks set evaluated_until = '2024-02-10 12:00+00' where organization_id in (tests.id('k'), tests.id('l'));

-- Who was marked since the last look.
create function tests.marked() returns text language plpgsql as $$
declare
  v_marked text;
begin
  with gone as (delete from private.scenario_marks returning user_id)
  select coalesce(string_agg(u.full_name, ' ' order by u.full_name), 'nobody') into v_marked from gone left join public.users u on u.id = gone.user_id;
  return v_marked;
end;
$$;

select is((select count(*) from private.held_decisions where gate = 'capped'), 2::bigint, 'of two rules one is capped, in each organisation');
update public.org_settings_kv set value = '2' where organization_id = tests.id('k');
select is(tests.marked(), 'full', 'another cap marks whose day was full, here and nowhere else');
insert into public.org_settings_kv values (tests.id('k'), 'quiet_hours', '{"from": "21:00", "to": "08:00"}');
select is(tests.marked(), 'full', 'so do quiet hours');
update public.organizations set time_zone = 'America/New_York' where id = tests.id('k');
select is(tests.marked(), 'full', 'and another zone');
update public.organizations set name = 'Kaps', time_zone = 'America/New_York' where id = tests.id('k');
select is(tests.marked(), 'nobody', 'not the same zone');
insert into public.org_settings_kv values (tests.id('k'), 'colour', '"red"');
select is(tests.marked(), 'nobody', 'nor what has nothing to do with it');
delete from public.org_settings_kv where organization_id = tests.id('k') and key = 'notification_daily_cap';
select is(tests.marked(), 'full', 'no cap any more');
update public.org_settings_kv set value = '2' where organization_id = tests.id('l');
select is(public.drain_scenario_marks(100, '2024-02-10 13:00+00') #> '{counts,inactivity}', '{"sent": 1, "cooling_down": 1}', 'and a drain tells them, before their day is over');
update public.org_settings_kv set value = '1' where organization_id = tests.id('l');
select is(tests.marked(), 'nobody', 'whoever has been told waits for nothing');
delete from public.organizations where id = tests.id('k');
select is((select count(*) from public.users where organization_id = tests.id('k')), 0::bigint, 'an organisation goes with whom it holds up');

select * from finish();
rollback;
