create function private.judge_conditions(p_organization_id uuid, p_releases private.push_release[], p_now timestamptz)
returns table (notification_id uuid, gate text, problem text)
language plpgsql stable
set search_path = ''
as $$
declare
  v_message text;
  v_state text;
  v_half integer := cardinality(p_releases) / 2;
  v_gone uuid[];
begin
  -- First, and by itself: inside unnest the planner would ask it too, to estimate how many there are.
  v_gone := private.gone_notifications(p_organization_id, p_releases, p_now);
  return query select g.id, 'condition_gone', null::text from unnest(v_gone) as g (id);
exception
  -- As in private.decide_safely: these are the moment's fault, and nobody's data.
  when syntax_error_or_access_rule_violation or query_canceled or serialization_failure or deadlock_detected or lock_not_available or operator_intervention
    or insufficient_resources or connection_exception then
    raise;
  when others then
    get stacked diagnostics v_message = message_text, v_state = returned_sqlstate;
    if v_half = 0 then
      return query select (p_releases[1]).notification_id, 'unjudged', 'condition_failed: ' || v_state || ' ' || left(v_message, 200);
      return;
    end if;
    return query
    select * from private.judge_conditions(p_organization_id, p_releases[:v_half], p_now)
    union all
    select * from private.judge_conditions(p_organization_id, p_releases[v_half + 1:], p_now);
end;
$$;
comment on function private.judge_conditions(uuid, private.push_release[], timestamptz) is
  'private.gone_notifications, in which one person''s bad row does not stop everybody: condition_gone, or unjudged with the problem. Those that hold have no row.';
revoke all on function private.judge_conditions(uuid, private.push_release[], timestamptz) from public, anon, authenticated, service_role;
grant execute on function private.judge_conditions(uuid, private.push_release[], timestamptz) to service_role;
