create function public.record_webhook_delivery(p_id text, p_answer jsonb) returns jsonb
language plpgsql
set search_path = ''
as $$
declare
  v_answer jsonb;
begin
  insert into private.webhook_deliveries (id, answer) values (p_id, p_answer)
  on conflict (id) do nothing
  returning answer into v_answer;
  if not found then
    select wd.answer into v_answer from private.webhook_deliveries wd where wd.id = p_id;
  end if;
  return v_answer;
end;
$$;
comment on function public.record_webhook_delivery(text, jsonb) is 'Records the answer to a webhook id and returns the one that counts: the first.';
revoke all on function public.record_webhook_delivery(text, jsonb) from public, anon, authenticated, service_role;
grant execute on function public.record_webhook_delivery(text, jsonb) to service_role;
