create function public.pause_run(p_run_id bigint, p_holder uuid) returns jsonb
language plpgsql
set search_path = ''
as $$
begin
  if private.lock_slice(p_run_id, p_holder) then
    update private.run_slices s set holder = null, lease_until = null
    where s.run_id = p_run_id and s.holder = p_holder;
    perform from private.runs r where r.id = p_run_id for no key update;
    update private.runs r
    set updated_at = clock_timestamp(),
        state = case when exists (select from private.run_slices s where s.run_id = p_run_id and s.holder is not null)
          then r.state else 'in_progress' end
    where r.id = p_run_id;
  end if;
  return public.run_report(p_run_id);
end;
$$;
comment on function public.pause_run(bigint, uuid) is
  'Gives back what the holder has in hand, so that the next who asks continues there at once; returns the report. The run is in_progress when nobody holds anything of it. No effect for anybody but the holder.';
revoke all on function public.pause_run(bigint, uuid) from public, anon, authenticated, service_role;
grant execute on function public.pause_run(bigint, uuid) to service_role;
