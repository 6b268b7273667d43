-- Who sees the calls of functions, and what cannot be written of schedules. Columns: tests.actors().
begin;
\ir ../helpers.psql
select plan(3);
select tests.populate();
select is(tests.outcomes('select from private.rings limit 0'), '- - - - - - - - - 0 ', 'rings are private');
select is(tests.outcomes('insert into private.rings values (''x'', ''x'', 1, now())'), '- - - - - - - - - - ', 'and written by ringing alone');
select is(tests.violated('update private.schedules set window_length = ''0'''), 'window_is_positive', 'a window has a length');
select * from finish();
rollback;
