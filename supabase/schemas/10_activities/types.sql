-- What people do, and with whom (rules.md §2).

create type public.activity_category as enum ('home_visit', 'phone_call', 'group', 'other');
create type public.activity_status as enum ('planned', 'completed', 'cancelled');
create type public.approval_status as enum ('pending', 'approved', 'rejected');
comment on type public.activity_category is 'What an activity type counts as.';
comment on type public.activity_status is 'Only completed activities count.';
comment on type public.approval_status is 'Whether a coordinator has approved an activity for reporting.';
