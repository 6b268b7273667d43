create function private.compute_engagement(p_now timestamptz)
returns table (
  organization_id uuid, person_id uuid, attendance_90d integer, active_groups integer, volunteering_90d integer, classes_90d integer,
  donations_90d numeric, attendance_part numeric, groups_part numeric, volunteering_part numeric, classes_part numeric,
  donations_part numeric, score numeric, score_without_donations numeric)
language plpgsql stable
set search_path = ''
as $$
begin
  return query
  with settings as materialized (
    select o.id, d.today, d.today - 90 as since,
      (w.value ->> 'attendance')::numeric as w_attendance, (w.value ->> 'groups')::numeric as w_groups,
      (w.value ->> 'volunteering')::numeric as w_volunteering, (w.value ->> 'classes')::numeric as w_classes,
      (w.value ->> 'donations')::numeric as w_donations,
      (t.value ->> 'attendance')::numeric as t_attendance, (t.value ->> 'groups')::numeric as t_groups,
      (t.value ->> 'volunteering')::numeric as t_volunteering, (t.value ->> 'classes')::numeric as t_classes,
      (t.value ->> 'donations')::numeric as t_donations
    from public.organizations o
    cross join lateral (select private.local_date(p_now, o.time_zone) as today) d
    cross join lateral (select private.engagement_setting(o.id, 'engagement_weights') as value offset 0) w
    cross join lateral (select private.engagement_setting(o.id, 'engagement_targets') as value offset 0) t
  ), attended as (
    select r.organization_id, r.person_id, count(*)::integer as n
    from settings s join public.attendance_records r on r.organization_id = s.id
    where r.status in ('present', 'late') and r.service_date > s.since and r.service_date <= s.today
    group by r.organization_id, r.person_id
  ), grouped as (
    select m.organization_id, m.person_id, count(distinct m.group_id)::integer as n
    from settings s join public.group_memberships m on m.organization_id = s.id
    where m.joined_on <= s.today and (m.left_on is null or m.left_on > s.today)
    group by m.organization_id, m.person_id
  ), volunteered as (
    select v.organization_id, v.person_id, count(*)::integer as n
    from settings s join public.volunteering v on v.organization_id = s.id
    where v.volunteered_on > s.since and v.volunteered_on <= s.today
    group by v.organization_id, v.person_id
  ), learned as (
    select c.organization_id, c.person_id, count(*)::integer as n
    from settings s join public.class_participations c on c.organization_id = s.id
    where c.participated_on > s.since and c.participated_on <= s.today
    group by c.organization_id, c.person_id
  ), gave as (
    select d.organization_id, d.person_id, sum(d.amount) as amount
    from settings s join public.donations d on d.organization_id = s.id
    where d.donated_on > s.since and d.donated_on <= s.today
    group by d.organization_id, d.person_id
  ), parts as (
    select s.*, p.id as person_id, coalesce(a.n, 0) as attended, coalesce(g.n, 0) as grouped, coalesce(v.n, 0) as volunteered,
      coalesce(l.n, 0) as learned, coalesce(d.amount, 0) as gave,
      least(1, coalesce(a.n, 0) / s.t_attendance) as p_attendance, least(1, coalesce(g.n, 0) / s.t_groups) as p_groups,
      least(1, coalesce(v.n, 0) / s.t_volunteering) as p_volunteering, least(1, coalesce(l.n, 0) / s.t_classes) as p_classes,
      least(1, coalesce(d.amount, 0) / s.t_donations) as p_donations
    from settings s
    join public.people p on p.organization_id = s.id and p.status = 'active'
    left join attended a on a.organization_id = p.organization_id and a.person_id = p.id
    left join grouped g on g.organization_id = p.organization_id and g.person_id = p.id
    left join volunteered v on v.organization_id = p.organization_id and v.person_id = p.id
    left join learned l on l.organization_id = p.organization_id and l.person_id = p.id
    left join gave d on d.organization_id = p.organization_id and d.person_id = p.id
  )
  select t.id, t.person_id, t.attended, t.grouped, t.volunteered, t.learned, t.gave,
    round(t.p_attendance, 4), round(t.p_groups, 4), round(t.p_volunteering, 4), round(t.p_classes, 4), round(t.p_donations, 4),
    round(100 * (x.without + t.w_donations * t.p_donations) / (x.weights + t.w_donations), 2),
    -- Of an organisation that scores nothing but donations, whoever may not see money sees no score.
    round(100 * x.without / nullif(x.weights, 0), 2)
  from parts t
  cross join lateral (
    select t.w_attendance * t.p_attendance + t.w_groups * t.p_groups + t.w_volunteering * t.p_volunteering + t.w_classes * t.p_classes as without,
      t.w_attendance + t.w_groups + t.w_volunteering + t.w_classes as weights) x;
end;
$$;
comment on function private.compute_engagement(timestamptz) is
  'Scores every active person of every organisation at p_now: attendance, volunteering, classes and donations of the 90 local days that end today, and the groups they belong to today. A part is least(1, value / target); the score 100 * sum of weight * part / sum of weights (rules.md §4).';
revoke all on function private.compute_engagement(timestamptz) from public, anon, authenticated, service_role;
