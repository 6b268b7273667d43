create function private.rendered_notifications(p_organization_ids uuid[], p_notification_ids uuid[])
returns table (organization_id uuid, id uuid, title text, body text, problem text, default_title text, default_body text)
language plpgsql stable
set search_path = ''
set plan_cache_mode = force_custom_plan
as $$
begin
  return query
  with asked as materialized (
    select n.organization_id, n.id, n.scenario, n.context, n.triggered_at, u.full_name, o.name as organization, p.full_name as person,
      coalesce(u.time_zone, o.time_zone, 'UTC') as time_zone, u.language as own_language,
      case
        when n.scenario = 'pastoral_case' then case when n.context ->> 'event' = any (private.template_forms(n.scenario)) then n.context ->> 'event' else 'opened' end
        when n.about_user_id is null then 'self' else 'coordinator' end as form
    from rows from (unnest(p_organization_ids), unnest(p_notification_ids)) as c (organization_id, id)
    join public.notifications n on n.organization_id = c.organization_id and n.id = c.id
    join public.users u on u.organization_id = n.organization_id and u.id = n.user_id
    join public.organizations o on o.id = n.organization_id
    left join public.users p on p.organization_id = n.organization_id and p.id = n.about_user_id
  ), worded as materialized (
    -- Looked for once a scenario, form and language, however many are told.
    select d.organization_id, d.scenario, d.form, d.own_language, t.*
    from (select distinct a.organization_id, a.scenario, a.form, a.own_language from asked a) d
    cross join lateral private.languages(d.own_language, (
      select s.value #>> '{}' from public.org_settings_kv s where s.organization_id = d.organization_id and s.key = 'language')) as l (languages)
    cross join lateral (
      select (array_agg(x.title order by x.position, x.is_default))[1] as title, (array_agg(x.body order by x.position, x.is_default))[1] as body,
        (array_agg(x.language order by x.position, x.is_default))[1] as language,
        (array_agg(x.title order by x.position) filter (where x.is_default))[1] as default_title,
        (array_agg(x.body order by x.position) filter (where x.is_default))[1] as default_body,
        (array_agg(x.language order by x.position) filter (where x.is_default))[1] as default_language
      from (
        select w.title, w.body, w.language, false as is_default, array_position(l.languages, w.language) as position
        from public.notification_templates w
        where w.organization_id = d.organization_id and w.scenario = d.scenario and w.form = d.form and w.language = any (l.languages)
        union all
        select w.title, w.body, w.language, true, array_position(l.languages, w.language)
        from private.default_templates() w
        where w.scenario = d.scenario and w.form = d.form and w.language = any (l.languages)
      ) x
    ) t
  )
  select a.organization_id, a.id, r.title, r.body,
    case when r.title is null or r.body is null then (
      select 'missing_value: ' || string_agg(distinct m.parts[1], ', ')
      from regexp_matches(w.title || w.body, '\{([^{}]*)\}', 'g') as m (parts)
      where v.given ->> m.parts[1] is null) end,
    w.default_title,
    case when r.title is null or r.body is null then private.render_template(w.default_body, v.given
      || private.template_values(a.scenario, w.default_body, a.context, a.triggered_at, a.time_zone, w.default_language)) end
  from asked a
  join worded w on w.organization_id = a.organization_id and w.scenario = a.scenario and w.form = a.form
    and w.own_language is not distinct from a.own_language
  cross join lateral (
    select private.template_values(a.scenario, w.title || w.body, a.context, a.triggered_at, a.time_zone, w.language) || jsonb_build_object(
      'name', a.full_name, 'first_name', split_part(btrim(a.full_name), ' ', 1), 'organization', a.organization, 'person', a.person) as given
    offset 0) v
  cross join lateral (
    select left(private.render_template(w.title, v.given), 200) as title, left(private.render_template(w.body, v.given), 2000) as body offset 0) r;
end;
$$;
comment on function private.rendered_notifications(uuid[], uuid[]) is
  'Notifications (arrays of equal length) in words: the organisation''s template or the default, in the best of the reader''s languages. Where a value is missing, title or body is null, problem names it, and the default text is given too. What is pushed and what stands in the app are both this.';
revoke all on function private.rendered_notifications(uuid[], uuid[]) from public, anon, authenticated, service_role;
grant execute on function private.rendered_notifications(uuid[], uuid[]) to authenticated, service_role;
