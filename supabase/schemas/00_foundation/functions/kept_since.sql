create function private.kept_since(p_name text, p_now timestamptz) returns timestamptz
language sql stable
set search_path = ''
as $$
  select coalesce((select p_now - r.keep_for from private.retention r where r.name = p_name), '-infinity');
$$;
comment on function private.kept_since(text, timestamptz) is
  'Since when everything of that name in private.retention is still there; -infinity: for ever, which is also what a missing row means.';
revoke all on function private.kept_since(text, timestamptz) from public, anon, authenticated, service_role;
grant execute on function private.kept_since(text, timestamptz) to service_role;
