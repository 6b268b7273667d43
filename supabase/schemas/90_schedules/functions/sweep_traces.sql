create function private.sweep_traces(p_limit integer, p_now timestamptz) returns jsonb
language plpgsql
set search_path = ''
set plan_cache_mode = force_custom_plan
as $$
declare
  v_outbox constant timestamptz := private.kept_since('outbox', p_now);
  v_held constant timestamptz := private.kept_since('held_decisions', p_now);
  v_invitations constant timestamptz := private.kept_since('invitations', p_now);
  v_told constant timestamptz := private.kept_since('notifications', p_now);
  v_histories constant timestamptz := private.kept_since('histories', p_now);
  v_counts jsonb;
begin
  with outbox as (
    delete from private.outbox d where d.ctid = any (array(
      select o.ctid from private.outbox o
      where o.created_at < v_outbox and o.state in ('sent', 'skipped', 'retracted', 'dead')
      order by o.created_at limit p_limit for update skip locked))
    returning 1
  ), held_decisions as (
    delete from private.held_decisions d where d.ctid = any (array(
      select o.ctid from private.held_decisions o where o.decided_at < v_held and o.look_again_at is null
      order by o.decided_at limit p_limit for update skip locked))
    returning 1
  ), invitations as (
    delete from public.invitations d where d.ctid = any (array(
      select o.ctid from public.invitations o where coalesce(o.accepted_at, o.revoked_at, o.expires_at) < v_invitations
      order by coalesce(o.accepted_at, o.revoked_at, o.expires_at) limit p_limit for update skip locked))
    returning 1
  ), notifications as (
    -- A question may be asked about any time since v_told, and must be answered as it would have been then. So what a cooldown,
    -- a day's cap or a count of reminders of such a time would read stays: of a quiet spell, all until an activity ended it.
    delete from public.notifications d where d.ctid = any (array(
      select o.ctid from public.notifications o
      where coalesce(o.dismissed_at, o.read_at, o.retracted_at) < v_told and o.triggered_at < v_told - interval '2 days'
        and not exists (
          select from private.cooldowns c
          where c.organization_id = o.organization_id and c.user_id = o.user_id and c.scenario = o.scenario and c.subject = o.subject
            and o.triggered_at + make_interval(hours => 24 * c.cooldown_days) > v_told)
        and (o.scenario <> 'inactivity' or o.about_user_id is not null or exists (
          select from public.activities a
          where a.organization_id = o.organization_id and a.user_id = o.user_id and a.status = 'completed'
            and a.occurred_at > o.triggered_at and a.occurred_at <= v_told and a.recorded_at <= v_told))
      order by coalesce(o.dismissed_at, o.read_at, o.retracted_at) limit p_limit for update skip locked))
    returning 1
  ), users as (
    delete from private.user_history d where d.ctid = any (array(
      select o.ctid from private.user_history o where o.valid_to < v_histories order by o.valid_to limit p_limit))
    returning 1
  ), preferences as (
    delete from private.preference_history d where d.ctid = any (array(
      select o.ctid from private.preference_history o where o.valid_to < v_histories order by o.valid_to limit p_limit))
    returning 1
  ), certificates as (
    delete from private.certificate_history d where d.ctid = any (array(
      select o.ctid from private.certificate_history o where o.valid_to < v_histories order by o.valid_to limit p_limit))
    returning 1
  )
  select jsonb_build_object('outbox', (select count(*) from outbox), 'held_decisions', (select count(*) from held_decisions),
    'invitations', (select count(*) from invitations), 'notifications', (select count(*) from notifications),
    'histories', (select count(*) from users) + (select count(*) from preferences) + (select count(*) from certificates))
    into v_counts;
  return v_counts;
end;
$$;
comment on function private.sweep_traces(integer, timestamptz) is
  'Deletes up to p_limit rows each of what tells of people and is no longer kept (private.retention), except what a rule or a question about the past still reads. For private.sweep_expired.';
revoke all on function private.sweep_traces(integer, timestamptz) from public, anon, authenticated, service_role;
