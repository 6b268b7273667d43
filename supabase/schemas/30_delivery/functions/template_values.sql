create function private.template_values(
  p_scenario text, p_text text, p_context jsonb, p_triggered_at timestamptz, p_time_zone text, p_language text)
returns jsonb
language plpgsql stable parallel safe
set search_path = ''
as $$
declare
  v_base constant text := case split_part(p_language, '-', 1) when 'no' then 'nb' when 'nn' then 'nb' else split_part(p_language, '-', 1) end;
  v_at timestamptz;
begin
  case p_scenario
    when 'inactivity' then
      v_at := private.instant_of(p_context ->> 'anchor_at');
      return jsonb_build_object(
        'days', coalesce(p_context ->> 'days', floor(extract(epoch from p_triggered_at - v_at) / 86400)::text),
        -- Only what is named: to write a day costs more than all the rest.
        'since', case when strpos(p_text, '{since}') > 0 then private.written_date(private.local_date(v_at, p_time_zone), p_language) end,
        'last_activity', case when strpos(p_text, '{last_activity}') > 0 then
          private.written_date(private.local_date(private.instant_of(p_context ->> 'last_activity_at'), p_time_zone), p_language) end);
    when 'milestone' then
      v_at := private.instant_of(p_context ->> 'period_start');
      return jsonb_build_object(
        'threshold', p_context ->> 'threshold', 'value', p_context ->> 'value',
        'metric', case v_base
          when 'nb' then case p_context ->> 'metric' when 'sessions' then 'aktiviteter' when 'hours' then 'timer' when 'contacts' then 'kontakter' end
          when 'es' then case p_context ->> 'metric' when 'sessions' then 'actividades' when 'hours' then 'horas' when 'contacts' then 'contactos' end
          else case p_context ->> 'metric' when 'sessions' then 'activities' when 'hours' then 'hours' when 'contacts' then 'contacts' end end,
        -- The year is one of UTC, as in the statistics.
        'period', case
          when v_at is not null then case v_base when 'nb' then 'i ' when 'es' then 'en ' when 'en' then 'in ' else '' end || extract(year from v_at at time zone 'UTC')
          when p_context ->> 'period' = 'all_time' then case v_base when 'nb' then 'i alt' when 'es' then 'en total' else 'in all' end end);
    when 'certification_expiry' then
      v_at := private.instant_of(p_context ->> 'expires_at');
      return jsonb_build_object(
        'certificate', p_context ->> 'name',
        'expires_on', private.written_date(private.local_date(v_at, p_time_zone), p_language),
        'days', ceil(extract(epoch from v_at - p_triggered_at) / 86400)::text);
    when 'pastoral_case' then
      return jsonb_build_object('absences', p_context ->> 'absences');
    else
      return '{}';
  end case;
end;
$$;
comment on function private.template_values(text, text, jsonb, timestamptz, text, text) is
  'What the placeholders of a text stand for in one notification of a scenario, from its context alone: dates in the reader''s time zone, written out; null where the context does not say.';
revoke all on function private.template_values(text, text, jsonb, timestamptz, text, text) from public, anon, authenticated, service_role;
grant execute on function private.template_values(text, text, jsonb, timestamptz, text, text) to authenticated, service_role;
