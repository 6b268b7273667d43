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
