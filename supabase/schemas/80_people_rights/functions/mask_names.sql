create function private.mask_names(p_value jsonb, p_pattern text, p_mask text) returns jsonb
language plpgsql immutable
set search_path = ''
as $$
begin
  -- Strings alone: in the text of the document somebody called Null or 42 would break it.
  return case
    when p_pattern is null then p_value
    else case jsonb_typeof(p_value)
      when 'string' then to_jsonb(regexp_replace(p_value #>> '{}', p_pattern, p_mask, 'gi'))
      when 'array' then (
        select coalesce(jsonb_agg(private.mask_names(e.value, p_pattern, p_mask) order by e.position), '[]')
        from jsonb_array_elements(p_value) with ordinality as e (value, position))
      when 'object' then (
        select coalesce(jsonb_object_agg(e.key, private.mask_names(e.value, p_pattern, p_mask)), '{}') from jsonb_each(p_value) e)
      else p_value
    end
  end;
end;
$$;
comment on function private.mask_names(jsonb, text, text) is
  'A document with every match of a pattern (private.name_pattern; null: nothing) in its strings replaced by a mask. Keys stay.';
revoke all on function private.mask_names(jsonb, text, text) from public, anon, authenticated, service_role;
