-- Pre-aggregated statistics per person and period, kept right by marks (rules.md §2, source document "Activity Statistics").

create type public.statistics_period as enum ('day', 'week', 'month', 'quarter', 'year', 'all_time');
comment on type public.statistics_period is 'Granularity of a window. Windows are UTC, start inclusive, end exclusive; weeks are ISO weeks.';
