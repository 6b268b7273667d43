create function private.erasure_counts(p_records jsonb, p_kept text[], p_mentions jsonb) returns jsonb
language sql immutable
set search_path = ''
as $$
  select jsonb_build_object(
    'erased', coalesce(jsonb_object_agg(s.key, jsonb_array_length(s.value)) filter (where s.key <> all (p_kept)), '{}'),
    'kept', coalesce(jsonb_object_agg(s.key, jsonb_array_length(s.value)) filter (where s.key = any (p_kept)), '{}'),
    'mentions', p_mentions)
  from jsonb_each(p_records) s;
$$;
comment on function private.erasure_counts(jsonb, text[], jsonb) is
  'How many rows of each section of private.records_of an erasure takes away, and how many it keeps without a name.';
revoke all on function private.erasure_counts(jsonb, text[], jsonb) from public, anon, authenticated, service_role;
