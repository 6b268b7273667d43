"""Two at once: whoever comes second waits, skips or is told so, and nobody is told twice. Real transactions."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest
from psycopg.types.json import Jsonb

from tests.support.database import Database
from tests.support.races import answer, in_background, side_by_side, wait_until_blocked


@pytest.fixture
def quiet(database: Database) -> dict[str, Any]:
    """An organisation with a rule and twenty mentors who have been quiet for long."""
    organization = database.value("insert into public.organizations (name) values ('A') returning id")
    database.execute(
        "insert into public.scenario_rules (organization_id, type, name, is_enabled)"
        " values (%s, 'inactivity', 'q', true)",
        (organization,),
    )
    rows = database.rows(
        "insert into public.users (organization_id, full_name, role, joined_at)"
        " select %s, 'M', 'peer_mentor', now() - interval '90 days' from generate_series(1, 20) returning id",
        (organization,),
    )
    # The rule has been looked at: nobody is due but those a test marks.
    database.execute("update private.rule_clocks set evaluated_until = now()")
    database.execute("delete from private.scenario_marks")
    return {"organization": organization, "people": [row["id"] for row in rows]}


def told(database: Database, organization: UUID) -> list[UUID]:
    rows = database.rows("select user_id from public.notifications where organization_id = %s", (organization,))
    return [row["user_id"] for row in rows]


EVALUATE = "select public.evaluate_people(%s, %s, now()) -> 'counts'"
ENQUEUE = "select public.enqueue_notification(%s, 'inactivity', '{}', 'race') ->> 'outcome'"


def test_two_evaluations_at_once_tell_everybody_once(database: Database, quiet: dict[str, Any]) -> None:
    counts: list[Any] = []
    with database.connect("service_role", autocommit=False) as first:
        counts.append(answer(first, EVALUATE, quiet["organization"], quiet["people"]))

        def second() -> None:
            with database.connect("service_role") as connection:
                counts.append(answer(connection, EVALUATE, quiet["organization"], quiet["people"]))

        thread = in_background(second)
        wait_until_blocked(database)
    thread.join(10)
    assert counts == [{"inactivity": {"sent": 20}}, {"inactivity": {"cooling_down": 20}}]
    assert sorted(told(database, quiet["organization"])) == sorted(quiet["people"])


def test_an_evaluation_whose_rival_rolls_back_tells_them(database: Database, quiet: dict[str, Any]) -> None:
    counts: list[Any] = []
    with database.connect("service_role", autocommit=False) as first:
        answer(first, EVALUATE, quiet["organization"], quiet["people"])

        def second() -> None:
            with database.connect("service_role") as connection:
                counts.append(answer(connection, EVALUATE, quiet["organization"], quiet["people"]))

        thread = in_background(second)
        wait_until_blocked(database)
        first.rollback()
    thread.join(10)
    assert counts == [{"inactivity": {"sent": 20}}]


def test_two_evaluations_in_opposite_orders_do_not_wait_for_each_other_in_a_circle(
    database: Database, quiet: dict[str, Any]
) -> None:
    errors: list[Exception] = []

    def evaluate(people: list[UUID]) -> None:
        try:
            with database.connect("service_role") as connection:
                answer(connection, EVALUATE, quiet["organization"], people)
        except psycopg.Error as error:
            errors.append(error)

    threads = [in_background(lambda p=p: evaluate(p)) for p in (quiet["people"], quiet["people"][::-1]) * 3]
    for thread in threads:
        thread.join(20)
    assert errors == []
    assert sorted(told(database, quiet["organization"])) == sorted(quiet["people"])


def test_of_many_enqueued_at_once_one_is_sent(database: Database, quiet: dict[str, Any]) -> None:
    outcomes: list[str] = []
    barrier = threading.Barrier(6)

    def enqueue() -> None:
        with database.connect("service_role") as connection:
            barrier.wait(10)
            outcomes.append(answer(connection, ENQUEUE, quiet["people"][0]))

    threads = [in_background(enqueue) for _ in range(6)]
    for thread in threads:
        thread.join(20)
    assert sorted(outcomes) == ["cooling_down"] * 5 + ["sent"]


def test_a_person_who_is_deleted_meanwhile_drops_out_and_fails_nobody(
    database: Database, quiet: dict[str, Any]
) -> None:
    counts: list[Any] = []
    gone, *others = quiet["people"]
    with database.connect(autocommit=False) as eraser:
        eraser.execute("delete from public.users where id = %s", (gone,))

        def evaluate() -> None:
            with database.connect("service_role") as connection:
                counts.append(answer(connection, EVALUATE, quiet["organization"], quiet["people"]))

        thread = in_background(evaluate)
        wait_until_blocked(database)
    thread.join(10)
    assert counts == [{"inactivity": {"sent": 19, "person_inactive": 1}}]
    assert sorted(told(database, quiet["organization"])) == sorted(others)


def test_two_drainers_share_the_marks_and_never_wait(database: Database, quiet: dict[str, Any]) -> None:
    database.execute(
        "insert into private.scenario_marks (organization_id, user_id, rings) select %s, id, false from unnest(%s) id",
        (quiet["organization"], quiet["people"]),
    )
    drain = "select public.drain_scenario_marks(%s)"
    with (
        database.connect("service_role", autocommit=False) as one,
        database.connect("service_role", autocommit=False) as two,
    ):
        two.execute("set local lock_timeout = '500ms'")
        first, second = answer(one, drain, 12), answer(two, drain, 12)
    assert (first["marks"], second["marks"]) == (12, 8)
    assert sorted(told(database, quiet["organization"])) == sorted(quiet["people"])


def test_a_drainer_that_dies_leaves_its_marks(database: Database, quiet: dict[str, Any]) -> None:
    database.execute(
        "insert into private.scenario_marks (organization_id, user_id, rings) select %s, id, false from unnest(%s) id",
        (quiet["organization"], quiet["people"]),
    )
    with database.connect("service_role", autocommit=False) as dying:
        answer(dying, "select public.drain_scenario_marks(100)")
        dying.rollback()
    assert told(database, quiet["organization"]) == []
    assert database.value("select count(*) from private.scenario_marks") == 20


def test_a_mark_made_while_another_is_drained_waits_for_the_next(database: Database, quiet: dict[str, Any]) -> None:
    mark = "insert into private.scenario_marks (organization_id, user_id, rings) values (%s, %s, false)"
    database.execute(mark, (quiet["organization"], quiet["people"][0]))
    with database.connect("service_role", autocommit=False) as drainer:
        assert answer(drainer, "select public.drain_scenario_marks(100)")["marks"] == 1
        database.execute(mark, (quiet["organization"], quiet["people"][1]))
    assert database.value("select count(*) from private.scenario_marks") == 1


def at_once(database: Database, works: list[Callable[[psycopg.Connection[Any]], object]]) -> list[psycopg.Error]:
    """Runs each on a connection of its own, all from the same moment; what the database had to say against it."""
    errors: list[psycopg.Error] = []
    barrier = threading.Barrier(len(works))

    def run(work: Callable[[psycopg.Connection[Any]], object]) -> None:
        try:
            with database.connect("service_role") as connection:
                barrier.wait(20)
                work(connection)
        except psycopg.Error as error:
            errors.append(error)

    threads = [in_background(lambda w=work: run(w)) for work in works]
    for thread in threads:
        thread.join(60)
    return errors


POPULATION = (
    """
    insert into public.users (organization_id, full_name, role, joined_at)
    select %s, 'M' || n, 'peer_mentor', now() - interval '90 days' from generate_series(1, 60) n
    """,
    """
    insert into public.scenario_rules (organization_id, type, name, is_enabled, thresholds, lead_days, priority)
    select %s, type, name, true, '{2,3}', '{30,7}', priority
    from (values ('inactivity', 'quiet', 1), ('inactivity', 'very quiet', 2), ('milestone', 'sessions', 3),
      ('certification_expiry', 'expiry', 4)) r (type, name, priority)
    """,
    "insert into public.org_settings_kv values (%s, 'notification_daily_cap', '2')",
    """
    insert into public.activities (organization_id, user_id, activity_type_id, occurred_at)
    select u.organization_id, u.id, 'other', now() - ago.days from public.users u
    cross join lateral (values (interval '30 days'), ('31 days'), ('32 days')) as ago (days)
    where u.organization_id = %s and substr(u.full_name, 2)::integer %% 3 = 0
    """,
    """
    insert into public.certificates (organization_id, user_id, name, expires_at)
    select u.organization_id, u.id, c.name, now() + interval '5 days' from public.users u
    cross join lateral (values ('First aid'), ('Driving')) as c (name)
    where u.organization_id = %s and substr(u.full_name, 2)::integer %% 4 = 0
    """,
    """
    insert into public.notification_preferences (organization_id, user_id, scenario, is_enabled)
    select u.organization_id, u.id, 'inactivity', false from public.users u
    where u.organization_id = %s and substr(u.full_name, 2)::integer %% 5 = 0
    """,
    """
    update public.users u set away_from = now() - interval '1 day'
    where u.organization_id = %s and substr(u.full_name, 2)::integer %% 7 = 0
    """,
)


@pytest.fixture
def population(database: Database) -> dict[str, Any]:
    """Sixty people for many gates: quiet ones, old milestones, certificates, opt-outs, absences, a cap of two."""
    organization = database.value("insert into public.organizations (name) values ('P') returning id")
    for statement in POPULATION:
        database.execute(statement, (organization,))
    people = database.rows("select id from public.users where organization_id = %s order by id", (organization,))
    return {"organization": organization, "people": [row["id"] for row in people]}


def test_ten_evaluators_at_once_tell_everybody_everything_once(database: Database, population: dict[str, Any]) -> None:
    """Lists in every order, the range, and drains of the marks, over one population at one moment."""
    organization, people = population["organization"], population["people"]
    expected = database.rows(
        "select g.user_id, g.subject from private.scenario_gates(%s, null, null, %s, private.rules_of(%s, null),"
        " now(), null) g where g.gate in ('would_send', 'quiet_hours')",
        (organization, people, organization),
    )
    assert len(expected) > 60
    shuffled = [people, people[::-1], people[30:] + people[:30], people[::2] + people[1::2]]
    evaluate = [lambda c, p=p: answer(c, EVALUATE, organization, p) for p in shuffled]
    sweep = [lambda c: answer(c, "select private.decide_safely(%s, null, null, null, now())", organization)] * 3
    drain = [lambda c: answer(c, "select public.drain_scenario_marks(100000)")] * 3

    errors = at_once(database, [*evaluate, *sweep, *drain])

    assert errors == []
    assert database.rows("select * from private.quarantine") == []
    made = database.rows(
        "select n.user_id, n.subject from public.notifications n where n.organization_id = %s", (organization,)
    )
    assert sorted(map(str, made)) == sorted(map(str, expected))
    assert database.value("select count(*) from private.outbox where organization_id = %s", (organization,)) == len(
        made
    )
    most = database.value(
        "select max(n) from (select count(*) as n from public.notifications where organization_id = %s"
        " group by user_id, release_on) d",
        (organization,),
    )
    assert most == 2


def test_of_two_rules_decided_at_once_a_cap_of_one_lets_one_through(database: Database, quiet: dict[str, Any]) -> None:
    """Senders that know nothing of each other share a person's day."""
    database.execute(
        "insert into public.org_settings_kv values (%s, 'notification_daily_cap', '1')", (quiet["organization"],)
    )
    enqueue = "select public.enqueue_notification(%s, 'inactivity', '{}', %s) ->> 'outcome'"
    outcomes: list[str] = []

    def second() -> None:
        with database.connect("service_role") as connection:
            outcomes.append(answer(connection, enqueue, quiet["people"][0], "two"))

    with database.connect("service_role", autocommit=False) as first:
        outcomes.append(answer(first, enqueue, quiet["people"][0], "one"))
        thread = in_background(second)
        wait_until_blocked(database)
    thread.join(10)
    assert outcomes == ["sent", "capped"]


def test_two_evaluators_with_two_rules_and_a_cap_of_one_tell_each_person_one_thing(
    database: Database, quiet: dict[str, Any]
) -> None:
    database.execute(
        "insert into public.org_settings_kv values (%s, 'notification_daily_cap', '1')", (quiet["organization"],)
    )
    database.execute(
        "insert into public.scenario_rules (organization_id, type, name, is_enabled, priority)"
        " values (%s, 'inactivity', 'urgent', true, 500)",
        (quiet["organization"],),
    )
    orders = (quiet["people"], quiet["people"][::-1])
    evaluate = [lambda c, p=p: answer(c, EVALUATE, quiet["organization"], p) for p in orders]
    assert at_once(database, evaluate) == []
    rows = database.rows(
        "select n.user_id, r.name from public.notifications n join public.scenario_rules r on r.id = n.rule_id"
        " where n.organization_id = %s",
        (quiet["organization"],),
    )
    assert sorted(row["user_id"] for row in rows) == sorted(quiet["people"])
    assert {row["name"] for row in rows} == {"urgent"}


OPT_OUT = (
    "insert into public.notification_preferences (organization_id, user_id, scenario, is_enabled)"
    " values (%s, %s, 'inactivity', false)"
)


def waiting(database: Database, person: UUID) -> int:
    """What a person would still get to see or hear."""
    return database.value(
        "select count(*) from public.notifications n left join private.outbox o on o.notification_id = n.id"
        " where n.user_id = %s and (n.retracted_at is null or o.state in ('pending', 'deferred'))",
        (person,),
    )


def test_an_opt_out_that_comes_while_a_claim_is_under_way_takes_it_back(
    database: Database, quiet: dict[str, Any]
) -> None:
    person = quiet["people"][0]

    def opt_out() -> None:
        with database.connect("service_role") as connection:
            connection.execute(OPT_OUT.encode(), (quiet["organization"], person))

    with database.connect("service_role", autocommit=False) as claiming:
        answer(claiming, EVALUATE, quiet["organization"], quiet["people"])
        thread = in_background(opt_out)
        wait_until_blocked(database)
    thread.join(10)
    assert len(told(database, quiet["organization"])) == 20
    assert waiting(database, person) == 0
    assert all(waiting(database, other) == 1 for other in quiet["people"][1:])


def test_a_claim_that_comes_while_an_opt_out_is_under_way_is_not_made(
    database: Database, quiet: dict[str, Any]
) -> None:
    person, *others = quiet["people"]
    counts: list[Any] = []

    def evaluate() -> None:
        with database.connect("service_role") as connection:
            counts.append(answer(connection, EVALUATE, quiet["organization"], quiet["people"]))

    with database.connect("service_role", autocommit=False) as opting_out:
        opting_out.execute(OPT_OUT.encode(), (quiet["organization"], person))
        thread = in_background(evaluate)
        wait_until_blocked(database)
    thread.join(10)
    assert counts == [{"inactivity": {"sent": 19, "opted_out": 1}}]
    assert sorted(told(database, quiet["organization"])) == sorted(others)


def test_an_opt_out_that_is_taken_back_lets_the_claim_be_made(database: Database, quiet: dict[str, Any]) -> None:
    counts: list[Any] = []

    def evaluate() -> None:
        with database.connect("service_role") as connection:
            counts.append(answer(connection, EVALUATE, quiet["organization"], quiet["people"]))

    with database.connect("service_role", autocommit=False) as opting_out:
        opting_out.execute(OPT_OUT.encode(), (quiet["organization"], quiet["people"][0]))
        thread = in_background(evaluate)
        wait_until_blocked(database)
        opting_out.rollback()
    thread.join(10)
    assert counts == [{"inactivity": {"sent": 20}}]


def test_an_opt_out_and_a_retraction_at_once_are_no_circle(database: Database, quiet: dict[str, Any]) -> None:
    """An evaluation takes back one thing and tells another while the person opts out: who comes second waits."""
    organization, person = quiet["organization"], quiet["people"][0]
    database.execute(
        "insert into public.scenario_rules (organization_id, type, name, is_enabled, lead_days)"
        " values (%s, 'certification_expiry', 'expiry', true, '{30}')",
        (organization,),
    )
    assert database.value(EVALUATE, (organization, [person])) == {
        "inactivity": {"sent": 1},
        "certification_expiry": {"not_matched": 1},
    }
    database.execute(
        "insert into public.activities (organization_id, user_id, activity_type_id, occurred_at)"
        " values (%s, %s, 'other', now())",
        (organization, person),
    )
    database.execute(
        "insert into public.certificates (organization_id, user_id, name, expires_at)"
        " values (%s, %s, 'First aid', now() + interval '5 days')",
        (organization, person),
    )
    errors: list[psycopg.Error] = []
    holds, goes_on = threading.Event(), threading.Event()

    def opt_out() -> None:
        try:
            with database.connect(autocommit=False) as connection:
                # As the trigger does, with time in between for the evaluation to come.
                connection.execute("select from public.users where id = %s for no key update", (person,))
                holds.set()
                goes_on.wait(10)
                connection.execute(OPT_OUT.encode(), (organization, person))
        except psycopg.Error as error:
            errors.append(error)

    def evaluate() -> None:
        try:
            with database.connect("service_role") as connection:
                answer(connection, EVALUATE, organization, [person])
        except psycopg.Error as error:
            errors.append(error)

    threads = [in_background(opt_out)]
    assert holds.wait(10)
    threads.append(in_background(evaluate))
    wait_until_blocked(database)
    goes_on.set()
    for thread in threads:
        thread.join(20)
    assert errors == []
    states = database.rows(
        "select n.scenario, o.state::text from private.outbox o join public.notifications n on n.id = o.notification_id"
        " where o.user_id = %s order by 1",
        (person,),
    )
    assert [tuple(row.values()) for row in states] == [("certification_expiry", "pending"), ("inactivity", "retracted")]


def test_of_two_rules_of_one_name_at_once_the_second_is_told_that_it_is_taken(
    database: Database, quiet: dict[str, Any]
) -> None:
    save = "select public.save_rule(%s, %s, 0, 0)"
    rule = Jsonb({"type": "milestone", "name": "fifty", "is_enabled": False})
    refusals: list[tuple[str | None, str]] = []
    with database.connect("service_role", autocommit=False) as first:
        answer(first, save, quiet["organization"], rule)

        def second() -> None:
            with database.connect("service_role") as connection:
                try:
                    answer(connection, save, quiet["organization"], rule)
                except psycopg.Error as error:
                    refusals.append((error.sqlstate, error.diag.message_primary or ""))

        thread = in_background(second)
        wait_until_blocked(database)
    thread.join(10)
    assert refusals == [("PT409", "rule_name_is_taken")]


def test_of_two_who_edit_one_rule_at_once_each_has_what_they_changed(database: Database, quiet: dict[str, Any]) -> None:
    organization = quiet["organization"]
    rule = database.value("select id::text from public.scenario_rules where organization_id = %s", (organization,))
    save = "select public.save_rule(%s, %s, 0, 0, null, null, 1000)"
    side_by_side(
        database,
        (save, organization, Jsonb({"id": rule, "max_reminders": 2})),
        (save, organization, Jsonb({"id": rule, "name": "still"})),
    )
    kept = database.rows("select name, max_reminders, version from public.scenario_rules where id = %s", (rule,))
    assert [tuple(row.values()) for row in kept] == [("still", 2, 3)]


def test_a_rule_that_is_edited_while_a_tick_holds_its_clock_is_due_again(
    database: Database, quiet: dict[str, Any]
) -> None:
    edit = "update public.scenario_rules set threshold_days = 5 where organization_id = %s"

    def change() -> None:
        with database.connect() as connection:
            connection.execute(edit.encode(), (quiet["organization"],))

    with database.connect("service_role", autocommit=False) as ticking:
        answer(ticking, "select private.take_due(%s, now(), false)", quiet["organization"])
        thread = in_background(change)
        wait_until_blocked(database)
    thread.join(10)
    clock = "select evaluated_until = '-infinity' from private.rule_clocks where organization_id = %s"
    assert database.value(clock, (quiet["organization"],))


def test_a_tick_leaves_a_clock_that_another_holds(database: Database, quiet: dict[str, Any]) -> None:
    with (
        database.connect("service_role", autocommit=False) as one,
        database.connect("service_role", autocommit=False) as two,
    ):
        one.execute("select from private.rule_clocks where organization_id = %s for update", (quiet["organization"],))
        two.execute("set local lock_timeout = '500ms'")
        due = "select private.take_due(%s, now() + interval '1 day', false)"
        assert answer(two, due, quiet["organization"]) is None


def test_of_two_that_start_a_run_at_once_one_is_busy(database: Database) -> None:
    start = "select public.start_run(%s, %s) ->> 'state'"
    states: list[str] = []
    with database.connect("service_role", autocommit=False) as first:
        states.append(answer(first, start, "race", uuid4()))

        def second() -> None:
            with database.connect("service_role") as connection:
                states.append(answer(connection, start, "race", uuid4()))

        thread = in_background(second)
        wait_until_blocked(database)
    thread.join(10)
    assert states == ["started", "busy"]


def test_who_is_in_the_middle_of_a_chunk_is_not_followed_even_with_the_lease_over(database: Database) -> None:
    run = database.value("select public.start_run('chunking', %s) -> 'run_id'", (uuid4(),))
    database.execute("update private.run_slices set lease_until = clock_timestamp() where run_id = %s", (run,))
    with (
        database.connect("service_role", autocommit=False) as working,
        database.connect("service_role", autocommit=False) as second,
    ):
        # As evaluate_chunk holds it while it works.
        working.execute("select from private.run_slices where run_id = %s for update", (run,))
        second.execute("set local lock_timeout = '500ms'")
        assert answer(second, "select public.start_run('chunking', %s) ->> 'state'", uuid4()) == "busy"


def test_a_holder_whose_run_was_taken_over_writes_nothing(database: Database, quiet: dict[str, Any]) -> None:
    old, new = uuid4(), uuid4()
    run = database.value("select public.start_run('taken', %s) -> 'run_id'", (old,))
    database.execute("update private.run_slices set lease_until = clock_timestamp() where run_id = %s", (run,))
    assert database.value("select public.start_run('taken', %s) ->> 'state'", (new,)) == "resumed"
    with pytest.raises(psycopg.Error, match="lease_lost") as caught:
        database.execute("select public.evaluate_chunk(%s, %s)", (run, old))
    assert caught.value.sqlstate == "PT409"
    assert told(database, quiet["organization"]) == []


def test_the_first_answer_to_a_webhook_counts_for_both(database: Database) -> None:
    record = "select public.record_webhook_delivery(%s, %s::jsonb)"
    answers: list[Any] = []
    with database.connect("service_role", autocommit=False) as first:
        answers.append(answer(first, record, "msg_race", '{"n": 1}'))

        def second() -> None:
            with database.connect("service_role") as connection:
                answers.append(answer(connection, record, "msg_race", '{"n": 2}'))

        thread = in_background(second)
        wait_until_blocked(database)
    thread.join(10)
    assert answers == [{"n": 1}, {"n": 1}]


@pytest.mark.parametrize("level", [psycopg.IsolationLevel.REPEATABLE_READ, psycopg.IsolationLevel.SERIALIZABLE])
def test_a_claim_on_a_snapshot_of_before_its_lock_is_refused_and_puts_nobody_into_quarantine(
    database: Database, quiet: dict[str, Any], level: psycopg.IsolationLevel
) -> None:
    """It could not see the day that another has just filled, nor an opt-out."""
    full, opted_out = quiet["people"][:2]
    database.execute(
        "insert into public.org_settings_kv values (%s, 'notification_daily_cap', '1')", (quiet["organization"],)
    )
    with database.connect("service_role", autocommit=False) as strict:
        strict.isolation_level = level
        strict.execute("select 1 from public.users")
        assert database.value(ENQUEUE, (full,)) == "sent"
        database.execute(
            "insert into public.notification_preferences values (%s, %s, 'all', 'all', false)",
            (quiet["organization"], opted_out),
        )
        for statement, *arguments in (
            ("select public.enqueue_notification(%s, 'milestone')", full),
            (ENQUEUE, opted_out),
            (EVALUATE, quiet["organization"], [full, opted_out]),
        ):
            with pytest.raises(psycopg.errors.InvalidTransactionState, match="read_committed_is_needed"):
                strict.execute(statement.encode(), arguments)
            strict.rollback()
            strict.isolation_level = level
    assert told(database, quiet["organization"]) == [full]
    assert database.value("select count(*) from private.quarantine") == 0
