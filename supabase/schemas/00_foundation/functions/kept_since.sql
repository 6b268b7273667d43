create function private.kept_since(p_name text, p_now timestamptz) returns timestamptz
language sql stable
set search_path = ''
as $$
  -- '9999 years' is for ever in other words, and not a time that a timestamp can be: it would stop the whole housekeeping.
  select coalesce((
    select case when r.keep_for < interval '1000 years' then p_now - r.keep_for end
    from private.retention r where r.name = p_name), '-infinity');
$$;
comment on function private.kept_since(text, timestamptz) is
  'Since when everything of that name in private.retention is still there; -infinity: for ever, which is also what a missing row and a thousand years mean.';
revoke all on function private.kept_since(text, timestamptz) from public, anon, authenticated, service_role;
grant execute on function private.kept_since(text, timestamptz) to service_role;
