create function public.find_webhook_delivery(p_id text) returns jsonb
language sql stable
set search_path = ''
as $$
  select wd.answer from private.webhook_deliveries wd where wd.id = p_id;
$$;
comment on function public.find_webhook_delivery(text) is 'The answer already given to a webhook id, else null.';
revoke all on function public.find_webhook_delivery(text) from public, anon, authenticated, service_role;
grant execute on function public.find_webhook_delivery(text) to service_role;
