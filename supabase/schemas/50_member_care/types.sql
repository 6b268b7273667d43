-- Member care (rules.md §4): who came, who stays away, and who goes and asks.

create type public.person_status as enum ('active', 'inactive', 'moved', 'deceased');
comment on type public.person_status is 'Only the active are flagged for cases.';

create type public.attendance_status as enum ('present', 'late', 'absent', 'excused');
comment on type public.attendance_status is 'Late is present. Excused neither ends an absence nor adds to it.';

create type public.case_status as enum ('open', 'in_progress', 'returned', 'closed', 'withdrawn');
comment on type public.case_status is
  'Open and in progress: somebody is to be asked after. Returned: they came, and the servant closes it. Withdrawn: it should not have been, or is no longer ours.';

create type public.case_priority as enum ('normal', 'urgent');
comment on type public.case_priority is 'Urgent from six absences.';

create type private.case_change as (
  person_id uuid,
  case_id uuid,
  action text,
  reason text,
  servant_id uuid,
  priority public.case_priority,
  absences integer,
  absent_since date,
  last_absent_on date,
  returned_on date
);
comment on type private.case_change is
  'What is to be done about a person''s case: open, reopen, escalate, assign, return or withdraw. case_id null: a new one.';
