-- A first organisation to look at, loaded by `supabase start` and `supabase db reset`: a rule of each scenario, and for most
-- gates of the inactivity scenario one mentor at whom it stops; a milestone just reached, a certificate about to expire, and
-- whose coordinator hears of it. Times are relative, ids are not. May be run again.
-- For two hundred people and two years: `attend demo`.

insert into public.organizations (id, name, time_zone) values
  ('a77e0000-0000-4000-8000-000000000000', 'Sample programme', 'Europe/Oslo')
on conflict do nothing;

insert into public.users (organization_id, id, full_name, role, joined_at, is_active, away_from, away_until)
select 'a77e0000-0000-4000-8000-000000000000', p.id::uuid, p.full_name, p.role::public.user_role,
  now() - p.joined_ago, p.is_active, now() - p.away_since, now() + p.away_for
from (values
  ('a77e0000-0000-4000-8000-000000000001', 'Kari Coordinator', 'coordinator', interval '900 days', true, null, null),
  ('a77e0000-0000-4000-8000-000000000002', 'Arne Active', 'peer_mentor', interval '700 days', true, null, null),
  ('a77e0000-0000-4000-8000-000000000003', 'Kine Quiet', 'peer_mentor', interval '600 days', true, null, null),
  ('a77e0000-0000-4000-8000-000000000004', 'Nils Never-Active', 'peer_mentor', interval '90 days', true, null, null),
  ('a77e0000-0000-4000-8000-000000000005', 'Nora New', 'peer_mentor', interval '3 days', true, null, null),
  ('a77e0000-0000-4000-8000-000000000006', 'Bodil Away', 'peer_mentor', interval '500 days', true, interval '10 days', interval '20 days'),
  ('a77e0000-0000-4000-8000-000000000007', 'Odd Opted-Out', 'peer_mentor', interval '400 days', true, null, null),
  ('a77e0000-0000-4000-8000-000000000008', 'Stine Stopped', 'peer_mentor', interval '800 days', false, null, null)
) as p (id, full_name, role, joined_ago, is_active, away_since, away_for)
on conflict do nothing;

insert into public.contacts (organization_id, id, display_name) values
  ('a77e0000-0000-4000-8000-000000000000', 'a77e0000-0000-4000-8000-0000000000c1', 'A contact')
on conflict do nothing;

insert into public.activities (organization_id, id, user_id, activity_type_id, occurred_at, duration_minutes)
select 'a77e0000-0000-4000-8000-000000000000', a.id::uuid, a.user_id::uuid, a.activity_type_id, now() - a.ago, a.minutes
from (values
  ('a77e0000-0000-4000-8000-0000000000a1', 'a77e0000-0000-4000-8000-000000000002', 'home-visit', interval '2 days', 75),
  ('a77e0000-0000-4000-8000-0000000000a2', 'a77e0000-0000-4000-8000-000000000002', 'phone-call', interval '30 days', 20),
  ('a77e0000-0000-4000-8000-0000000000a3', 'a77e0000-0000-4000-8000-000000000003', 'home-visit', interval '32 days', 60),
  ('a77e0000-0000-4000-8000-0000000000a4', 'a77e0000-0000-4000-8000-000000000006', 'group-meeting', interval '45 days', 120),
  ('a77e0000-0000-4000-8000-0000000000a5', 'a77e0000-0000-4000-8000-000000000007', 'phone-call', interval '50 days', 15),
  ('a77e0000-0000-4000-8000-0000000000a6', 'a77e0000-0000-4000-8000-000000000008', 'home-visit', interval '200 days', 90)
) as a (id, user_id, activity_type_id, ago, minutes)
on conflict do nothing;

insert into public.activity_contacts (organization_id, activity_id, contact_id) values
  ('a77e0000-0000-4000-8000-000000000000', 'a77e0000-0000-4000-8000-0000000000a1', 'a77e0000-0000-4000-8000-0000000000c1')
on conflict do nothing;

insert into public.notification_preferences (organization_id, user_id, scenario, is_enabled) values
  ('a77e0000-0000-4000-8000-000000000000', 'a77e0000-0000-4000-8000-000000000007', 'inactivity', false)
on conflict do nothing;

insert into public.certificates (organization_id, id, user_id, name, issued_at, expires_at)
select 'a77e0000-0000-4000-8000-000000000000', c.id::uuid, c.user_id::uuid, 'First aid', now() - c.issued_ago, now() + c.expires_in
from (values
  ('a77e0000-0000-4000-8000-0000000000b1', 'a77e0000-0000-4000-8000-000000000002', interval '65 days', interval '300 days'),
  ('a77e0000-0000-4000-8000-0000000000b2', 'a77e0000-0000-4000-8000-000000000003', interval '345 days', interval '20 days')
) as c (id, user_id, issued_ago, expires_in)
on conflict do nothing;

insert into public.user_coordinators (organization_id, user_id, coordinator_id) values
  ('a77e0000-0000-4000-8000-000000000000', 'a77e0000-0000-4000-8000-000000000003', 'a77e0000-0000-4000-8000-000000000001'),
  ('a77e0000-0000-4000-8000-000000000000', 'a77e0000-0000-4000-8000-000000000004', 'a77e0000-0000-4000-8000-000000000001')
on conflict do nothing;

-- (Written directly, as their owner may; everybody else asks public.preview_rule and public.save_rule.)
insert into public.scenario_rules (organization_id, id, type, name, is_enabled) values
  ('a77e0000-0000-4000-8000-000000000000', 'a77e0000-0000-4000-8000-0000000000f1', 'inactivity', 'Quiet for three weeks', true)
on conflict do nothing;
insert into public.scenario_rules (organization_id, id, type, name, is_enabled, period, thresholds) values
  ('a77e0000-0000-4000-8000-000000000000', 'a77e0000-0000-4000-8000-0000000000f2', 'milestone', 'Sessions in all', true, 'all_time', '{2,50,100}')
on conflict do nothing;
insert into public.scenario_rules (organization_id, id, type, name, is_enabled, lead_days, informs_coordinators) values
  ('a77e0000-0000-4000-8000-000000000000', 'a77e0000-0000-4000-8000-0000000000f3', 'certification_expiry', 'Certificate about to expire', true, '{30,7}', true)
on conflict do nothing;
