create function private.decide_safely(
  p_organization_id uuid, p_from_user uuid, p_to_user uuid, p_user_ids uuid[], p_now timestamptz, p_run_id bigint default null)
returns jsonb
language plpgsql
set search_path = ''
as $$
declare
  v_message text;
  v_state text;
  v_ids uuid[];
  v_half integer;
begin
  return private.decide(p_organization_id, p_from_user, p_to_user, p_user_ids, p_now, p_run_id);
exception
  -- These are the moment's fault and nobody's data: a cancelled statement, a lost race, a server going down; or the engine's
  -- own, which would put everybody into quarantine: a function or a right that is missing, a wrong isolation level.
  when syntax_error_or_access_rule_violation or invalid_transaction_state or query_canceled or serialization_failure or deadlock_detected or lock_not_available or operator_intervention
    or insufficient_resources or connection_exception then
    raise;
  when others then
    get stacked diagnostics v_message = message_text, v_state = returned_sqlstate;
    -- In halves, until it is one person's: the others are decided. In the order of the key, as locks are taken.
    v_ids := (
      select array_agg(distinct i.id order by i.id)
      from unnest(coalesce(p_user_ids, private.people(p_organization_id, p_from_user, p_to_user))) as i (id));
    v_half := cardinality(v_ids) / 2;
    if v_half is null then
      return '{}';
    elsif v_half = 0 then
      insert into private.quarantine (organization_id, user_id, reason, message)
      select u.organization_id, u.id, v_state, v_message
      from public.users u where u.organization_id = p_organization_id and u.id = v_ids[1]
      on conflict (organization_id, user_id) do update set reason = excluded.reason, message = excluded.message;
      return jsonb_build_object('quarantined', jsonb_build_object(v_state, 1));
    end if;
    return private.add_counts(
      private.decide_safely(p_organization_id, null, null, v_ids[:v_half], p_now, p_run_id),
      private.decide_safely(p_organization_id, null, null, v_ids[v_half + 1:], p_now, p_run_id));
end;
$$;
comment on function private.decide_safely(uuid, uuid, uuid, uuid[], timestamptz, bigint) is
  'private.decide, in which one person''s bad row does not stop everybody: whoever cannot be decided is put into private.quarantine with the reason. Returns the counts, and {"quarantined": {"sqlstate": n}}.';
revoke all on function private.decide_safely(uuid, uuid, uuid, uuid[], timestamptz, bigint) from public, anon, authenticated, service_role;
grant execute on function private.decide_safely(uuid, uuid, uuid, uuid[], timestamptz, bigint) to service_role;
