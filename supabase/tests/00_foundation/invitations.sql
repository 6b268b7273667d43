-- An admin invites, the first confirmed sign-in links. (That sign-ins run as supabase_auth_admin is tests/integration's.)
begin;
\ir ../helpers.psql
select plan(33);
select tests.populate();

create function tests.invite(p_email text, p_days integer default 14) returns jsonb language sql as
$$ select public.invite_user(p_email, 'Somebody', 'peer_mentor', p_days) $$;
create function tests.sign_up(p_name text, p_email text, p_confirmed boolean default true) returns void language sql as
$$ insert into auth.users (id, email, email_confirmed_at) values (tests.id(p_name), p_email, case when p_confirmed then now() end) $$;
create function tests.organization_of(p_name text) returns text language sql as
$$ select o.name from public.user_logins ul join public.organizations o on o.id = ul.organization_id where ul.auth_user_id = tests.id(p_name) $$;

-- Who may.
select is(tests.outcomes('select public.invite_user(''n@x.test'', ''New'', ''peer_mentor'')'), '- - - - - - 1 - 1 - ', 'only active admins invite, and not the service');
select is(tests.outcomes('select public.revoke_invitation(tests.id(''a invitation''))'),
  '- PT404 no_pending_invitationPT404 no_pending_invitationPT404 no_pending_invitationPT404 no_pending_invitationPT404 no_pending_invitation1 PT404 no_pending_invitationPT404 no_pending_invitation- ',
  'only active admins of the organisation revoke');

-- The way it goes well.
select tests.become('a admin');
select lives_ok('select tests.invite('' New.Person@X.test '')', 'an admin invites');
select results_eq('select role::text, is_active from public.users where full_name = ''Somebody''', $$values ('peer_mentor', true)$$, 'the person exists at once');
select is((select email from public.invitations where email like 'new%'), 'new.person@x.test', 'the address is stored trimmed and in lower case');
select is((select invited_by from public.invitations where email like 'new%'), tests.id('a admin'), 'the invitation says who invited');
select tests.become('postgres');
select tests.sign_up('new', 'NEW.person@x.test', false);
select is(tests.organization_of('new'), null, 'an address nobody confirmed links nothing');
update auth.users set email_confirmed_at = now() where id = tests.id('new');
select is(tests.organization_of('new'), 'a', 'confirming it links, whatever its case');
select ok((select accepted_at is not null from public.invitations where email = 'new.person@x.test'), 'the invitation is accepted');
select tests.sign_up('new again', 'new.person@x.test.');
select is(tests.organization_of('new again'), null, 'another address is another person');

delete from auth.users where id = tests.id('new');
select tests.sign_up('new once more', 'new.person@x.test');
select is(tests.organization_of('new once more'), null, 'an invitation that was accepted links nobody a second time');

-- Twice.
select tests.become('a admin');
select tests.invite('twice@x.test');
select is(tests.error('select tests.invite(''Twice@x.test'')'), 'PT409 already_invited {"email": "twice@x.test"}', 'a second invitation of a pending address is refused');
select is((select count(*) from public.users where full_name = 'Somebody'), 2::bigint, 'and makes no second person');
select lives_ok('select public.revoke_invitation((select id from public.invitations where email = ''twice@x.test''))', 'it can be revoked');
select is(tests.error('select public.revoke_invitation((select id from public.invitations where email = ''twice@x.test''))') ~ '^PT404 no_pending_invitation ', true, 'once');
select lives_ok('select tests.invite(''twice@x.test'')', 'and then be made anew');
select tests.become('postgres');
update public.invitations set revoked_at = now() where email = 'twice@x.test' and revoked_at is null;
select tests.sign_up('revoked', 'twice@x.test');
select is(tests.organization_of('revoked'), null, 'a revoked invitation links nobody');

-- Expired.
select tests.become('a admin');
select tests.invite('late@x.test', 1);
select tests.become('postgres');
update public.invitations set created_at = now() - interval '2 days', expires_at = now() where email = 'late@x.test';
select tests.sign_up('late', 'late@x.test');
select is(tests.organization_of('late'), null, 'an invitation that ends this moment links nobody');

-- The login was there before the invitation.
select tests.sign_up('early', 'early@x.test');
select tests.become('a admin');
select tests.invite('early@x.test');
select tests.become('postgres');
select is(tests.organization_of('early'), null, 'inviting an address that has a login links nothing by itself');
update auth.users set last_sign_in_at = now() where id = tests.id('early');
select is(tests.organization_of('early'), 'a', 'the next sign-in does');

-- Two organisations.
select tests.become('b admin');
select tests.invite('both@x.test');
select tests.become('postgres');
update public.invitations set created_at = created_at - interval '1 hour' where email = 'both@x.test';
select tests.become('a admin');
select lives_ok('select tests.invite(''both@x.test'')', 'two organisations may invite one address');
select tests.become('postgres');
select tests.sign_up('both', 'both@x.test');
select is(tests.organization_of('both'), 'b', 'the older invitation wins');
update auth.users set last_sign_in_at = now() where id = tests.id('both');
select is(tests.organization_of('both'), 'b', 'and the next sign-in changes nothing: one organisation for life');
select is((select count(*) from public.invitations where email = 'both@x.test' and accepted_at is null), 1::bigint, 'the other stays open, and unused');

-- Nonsense.
select tests.become('a admin');
select is(tests.error(format('select tests.invite(''n@x.test'', %s)', coalesce(days::text, 'null'))),
  format('PT400 valid_days_out_of_range {"maximum": 90, "minimum": 1, "valid_days": %s}', coalesce(days::text, 'null')), format('%s days are refused', days))
from unnest('{0,91,null}'::integer[]) days;
select is(tests.violated('select tests.invite(''nobody'')'), 'email_has_an_at', 'an address has an @');

-- Changing people.
select is(tests.outcomes('select public.change_user(tests.id(''a other mentor''), ''coordinator'')'),
  '- - - - - - 1 - PT404 unknown_user- ', 'only active admins change people, of their organisation');
select is(tests.error('select public.change_user(tests.id(''a admin''), ''coordinator'')'), '42501 nobody_changes_themselves', 'nobody changes themselves');
select is(public.change_user(tests.id('a other mentor'), null, false), jsonb_build_object('user_id', tests.id('a other mentor'), 'role', 'peer_mentor', 'is_active', false), 'what is left out stays');
select is((public.change_user(tests.id('a other mentor'), 'servant', true) ->> 'role'), 'servant', 'a role changes');
select tests.become('postgres');
select ok((select reactivated_at = now() from public.users where id = tests.id('a other mentor')), 'who becomes active again starts a new spell');

select * from finish();
rollback;
