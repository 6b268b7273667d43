create function private.name_pattern(p_names text[]) returns text
language sql immutable parallel safe
set search_path = ''
as $$
  -- From the beginning of a word (\m would want the name to begin with a letter). What has more than one word may go on, as
  -- languages inflect names; of a single word only the genitive is it, for "Ann" is not "Annual". However many spaces, and
  -- composed or not, as keyboards differ.
  select '(?<!\w)(?:' || string_agg(distinct
      regexp_replace(regexp_replace(f.name, '([^[:alnum:][:space:]])', '\\\1', 'g'), '\s+', '\\s+', 'g')
      || case when f.name ~ '[\s@]' then '' else 's?(?!\w)' end, '|') || ')'
  from unnest(p_names) as n (name)
  cross join lateral (values (normalize(btrim(n.name), nfc)), (normalize(btrim(n.name), nfd))) as f (name)
  where f.name <> '';
$$;
comment on function private.name_pattern(text[]) is
  'A regular expression (flags gi) that finds any of these names and addresses, inflected at the end too; null: there are none.';
revoke all on function private.name_pattern(text[]) from public, anon, authenticated, service_role;
