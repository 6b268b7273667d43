"""Table `statistics`, first part: what marks and bells cost whoever writes activities."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator
from functools import partial

from attend.bench.measure import Figure, Size, alternating, require, say, timed
from attend.bench.population import clear_effects, vacuum
from attend.bench.workplace import Workplace

TABLE = "statistics"
_IN_A_ROW = 50
_ONE = """
insert into public.activities (organization_id, user_id, activity_type_id, occurred_at)
select u.organization_id, u.id, 'home-visit', now() - interval '1 day' from public.users u where u.id = %s
"""
_MANY = """
insert into public.activities (organization_id, user_id, activity_type_id, occurred_at)
select u.organization_id, u.id, 'home-visit', now() - interval '1 day'
from public.users u cross join generate_series(1, 1 + %(rows)s / (select count(*) from public.users)) n
limit %(rows)s
"""
_MARKS = ("alter table public.activities {} trigger activities_mark_statistics_inserted",)
# One mark makes the other: a change of somebody's figures is a reason to look at them.
_BELLS = (
    "alter table private.statistics_marks {} trigger statistics_marks_ring_bell",
    "alter table private.scenario_marks {} trigger scenario_marks_ring_bell",
)
_COOL_BELL = "update private.bells set last_rung_at = '-infinity'"
# What the dashboard makes of "call this URL when a row changes".
_NAIVE = """
create function public.bench_hook() returns trigger language plpgsql security definer as $$
begin
  perform net.http_post('http://127.0.0.1:9/hook',
    jsonb_build_object('type', tg_op, 'schema', tg_table_schema, 'table', tg_table_name,
      'record', to_jsonb(new), 'old_record', null));
  return null;
end $$;
create trigger bench_hook after insert on public.activities for each row execute function public.bench_hook();
alter table public.activities disable trigger bench_hook;
"""


class _Writer:
    """Writes activities with the triggers of a mode: none, mark, bell (coalesced), rung (every time), naive."""

    def __init__(self, place: Workplace, rows: int) -> None:
        self.place = place
        self.rows = rows
        self.people = [
            row[0] for row in place.own.execute("select id from public.users order by id limit 1000").fetchall()
        ]
        place.own.execute(_NAIVE)

    def set_mode(self, mode: str) -> None:
        ask = self.place.own.execute
        for statements, modes in ((_MARKS, {"mark", "bell", "rung"}), (_BELLS, {"bell", "rung"})):
            for statement in statements:
                ask(statement.format("enable" if mode in modes else "disable"))
        ask(f"alter table public.activities {'enable' if mode == 'naive' else 'disable'} trigger bench_hook")

    def one(self, mode: str) -> float:
        """Median of single rows, each a transaction, commit included: that is where the bell rings."""
        self.set_mode(mode)
        self._warm()
        times: list[float] = []
        for person in self.people[:_IN_A_ROW]:
            if mode == "rung":
                self.place.own.execute(_COOL_BELL)
            times.append(timed(lambda person=person: self.place.own.execute(_ONE, (person,))))
        return statistics.median(times)

    def many(self, mode: str) -> float:
        """`rows` rows in one statement, with what is deferred to the commit and without the commit itself."""
        self.set_mode(mode)
        self._warm()
        self.place.own.execute(_COOL_BELL)
        with self.place.own.transaction(force_rollback=True):
            spent = timed(self._write_many)
            if mode in {"mark", "bell"}:
                marks = self.place.value("select count(*) from private.statistics_marks")
                people = self.place.value("select least(%s, count(*)) from public.users", self.rows)
                require(marks >= people, f"{marks} marks for {people} people")
        vacuum(self.place.admin, "public.activities")
        clear_effects(self.place.admin)
        return spent

    def _write_many(self) -> None:
        self.place.own.execute(_MANY, {"rows": self.rows})
        self.place.own.execute("set constraints all immediate")

    def _warm(self) -> None:
        # Switching triggers throws cached plans away, and a plan is settled after its sixth use: the first writes are
        # not what a writer on a pooled connection sees.
        for person in self.people[-8:]:
            self.place.own.execute(_ONE, (person,))


def figures(place: Workplace, size: Size) -> Iterator[Figure]:
    """Yields the writer's lines."""
    say(f"statistics: loading {min(size.people, 100_000):,} people to write activities of")
    place.load(min(size.people, 100_000))
    writer = _Writer(place, size.rows)
    say("statistics: writer's overhead, one row")
    yield from _compare(size, "one row", partial(_median_of_ones, writer, max(3, size.sample // 30)))
    for rows, target in ((size.rows, 1.3), (size.many_rows, 1.5)):
        say(f"statistics: writer's overhead, {rows:,} rows in one statement")
        writer.rows = rows
        yield from _compare_bulk(size, writer, target)
    writer.set_mode("bell")


def _median_of_ones(writer: _Writer, repetitions: int, modes: tuple[str, ...]) -> list[float]:
    return alternating(repetitions, *(partial(writer.one, mode) for mode in modes))


def _compare(size: Size, what: str, measure: Callable[[tuple[str, ...]], list[float]]) -> Iterator[Figure]:
    limit, mark, bell, rung, naive = measure(("none", "mark", "bell", "rung", "naive"))
    for case, ours, target in (
        ("mark only", mark, 1.25),
        ("mark and bell, coalesced", bell, 1.6),
        ("mark and bell, each ringing", rung, 1.6),
    ):
        yield Figure(TABLE, f"writer's overhead, {what}: {case}", size.name, ours, limit, target, naive)


def _compare_bulk(size: Size, writer: _Writer, target: float) -> Iterator[Figure]:
    limit, mark, bell, naive = alternating(
        size.rounds, *(partial(writer.many, mode) for mode in ("none", "mark", "bell", "naive"))
    )
    for case, ours in (("mark only", mark), ("mark and bell", bell)):
        yield Figure(TABLE, f"writer's overhead, {writer.rows:,} rows: {case}", size.name, ours, limit, target, naive)
