create function private.open_run(p_kind text, p_now timestamptz) returns bigint
language plpgsql
set search_path = ''
as $$
declare
  v_id bigint;
begin
  loop
    -- Locked, so that nobody else takes a slice meanwhile, nor finishes the run.
    select r.id into v_id from private.runs r where r.kind = p_kind and r.state <> 'finished' for no key update;
    exit when found;
    -- Refused when another began one a moment before, which is then found, unless it is finished by then.
    insert into private.runs (kind, as_of, is_clock_given) values (p_kind, coalesce(p_now, now()), p_now is not null)
    on conflict (kind) where state <> 'finished' do nothing
    returning id into v_id;
    exit when found;
  end loop;
  return v_id;
end;
$$;
comment on function private.open_run(text, timestamptz) is
  'Locks the open run of a kind and returns its id; begins one at the clock p_now (null: the database''s) where there is none. A new run has no slices yet.';
revoke all on function private.open_run(text, timestamptz) from public, anon, authenticated, service_role;
grant execute on function private.open_run(text, timestamptz) to service_role;
