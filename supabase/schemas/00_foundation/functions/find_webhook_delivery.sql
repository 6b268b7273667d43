create function public.find_webhook_delivery(p_id text, p_function_name text default '') returns jsonb
language plpgsql
set search_path = ''
as $$
begin
  -- Asked right before the work that the bell was rung for: whoever comes later needs another (private.ring_again).
  update private.rings r set answered_at = clock_timestamp() where r.bell_id = p_id and r.answered_at is null;
  return (select wd.answer from private.webhook_deliveries wd where wd.id = p_id and wd.function_name = p_function_name);
end;
$$;
comment on function public.find_webhook_delivery(text, text) is
  'The answer that a function has already given to a webhook id, else null. Asked before any work: notes that the bell of this id has reached a function.';
revoke all on function public.find_webhook_delivery(text, text) from public, anon, authenticated, service_role;
grant execute on function public.find_webhook_delivery(text, text) to service_role;
