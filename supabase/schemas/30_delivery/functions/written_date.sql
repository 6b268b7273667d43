create function private.written_date(p_day date, p_language text) returns text
language sql immutable parallel safe
set search_path = ''
as $$
  select case split_part(p_language, '-', 1)
    when 'en' then d.day || ' ' || (array['January', 'February', 'March', 'April', 'May', 'June', 'July', 'August',
      'September', 'October', 'November', 'December'])[d.month] || ' ' || d.year
    when 'nb' then d.day || '. ' || (array['januar', 'februar', 'mars', 'april', 'mai', 'juni', 'juli', 'august',
      'september', 'oktober', 'november', 'desember'])[d.month] || ' ' || d.year
    when 'no' then private.written_date(p_day, 'nb')
    when 'nn' then private.written_date(p_day, 'nb')
    when 'es' then d.day || ' de ' || (array['enero', 'febrero', 'marzo', 'abril', 'mayo', 'junio', 'julio', 'agosto',
      'septiembre', 'octubre', 'noviembre', 'diciembre'])[d.month] || ' de ' || d.year
    else to_char(p_day, 'YYYY-MM-DD')
  end
  from (select extract(day from p_day)::integer as day, extract(month from p_day)::integer as month, extract(year from p_day)::integer as year) d;
$$;
comment on function private.written_date(date, text) is
  'A day as English, Norwegian and Spanish write it out; 2026-11-21 in any other language. (to_char knows only the server''s locales.)';
revoke all on function private.written_date(date, text) from public, anon, authenticated, service_role;
grant execute on function private.written_date(date, text) to authenticated, service_role;
