-- Adds the in-app list to Supabase Realtime, so that an open app hears of a notification without asking. Not part of the
-- migrations, because of what it costs (docs/delivery.md, "Realtime"): run it once, if you want it. Running it again changes nothing.
--
-- To take it back: alter publication supabase_realtime drop table public.notifications;
do $do$
begin
  if not exists (
    select from pg_catalog.pg_publication_tables t
    where t.pubname = 'supabase_realtime' and t.schemaname = 'public' and t.tablename = 'notifications')
  then
    alter publication supabase_realtime add table public.notifications;
  end if;
end
$do$;
