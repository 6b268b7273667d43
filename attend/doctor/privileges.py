"""Who may do what, object by object: the whole matrix, so that a grant more or less is found.

One home for two readers: the tests, which hold the migrations to it, and `attend doctor`, which holds an installation
to it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

import psycopg
from psycopg.rows import tuple_row

type Granted = dict[str, dict[str, str]]
type Columns = dict[tuple[str, str, str], str]

ALL = "delete insert select update"

# relation → role → privileges. Roles and relations that are missing here have nothing.
RELATIONS: dict[str, dict[str, str]] = {
    "public.organizations": {"authenticated": "select", "service_role": ALL},
    "public.org_settings_kv": {"authenticated": ALL, "service_role": ALL},
    "public.users": {"authenticated": "select", "service_role": ALL},
    "public.user_logins": {"authenticated": "select", "service_role": ALL},
    "public.invitations": {"authenticated": "select", "service_role": ALL},
    "public.activity_types": {"authenticated": "insert select update", "service_role": ALL},
    "public.contacts": {"authenticated": "insert select", "service_role": ALL},
    "public.activities": {"authenticated": "delete select", "service_role": ALL},
    "public.activity_contacts": {"authenticated": "delete insert select", "service_role": ALL},
    "public.activity_statistics": {"authenticated": "select", "service_role": ALL},
    "public.activity_dashboard": {"authenticated": "select", "service_role": "select"},
    "public.bufdir_rules": {"authenticated": ALL, "service_role": ALL},
    "public.statistics_warnings": {"authenticated": "select", "service_role": "insert select"},
    "public.team_reports": {"authenticated": "select", "service_role": "select"},
    "public.notification_preferences": {"authenticated": ALL, "service_role": ALL},
    "public.notifications": {"authenticated": "select", "service_role": ALL},
    "public.my_notifications": {"authenticated": "select", "service_role": "select"},
    "public.notification_templates": {"authenticated": ALL, "service_role": ALL},
    # Registered by a function, which knows whose it was.
    "public.devices": {"authenticated": "select", "service_role": ALL},
    # Rules are changed through save_rule and delete_rule alone, by the service, too.
    "public.scenario_rules": {"authenticated": "select", "service_role": "select"},
    "public.scenario_rule_versions": {"authenticated": "select", "service_role": "select"},
    "public.certificates": {"authenticated": ALL, "service_role": ALL},
    "public.achievements": {"authenticated": "select", "service_role": "insert select"},
    "public.user_coordinators": {"authenticated": "select", "service_role": ALL},
    "public.health": {"service_role": "select"},
    "private.bells": {"service_role": "select update"},
    "private.rings": {"service_role": "select update"},
    "private.ledger": {"service_role": "select"},
    "private.webhook_deliveries": {"service_role": "insert select"},
    "private.runs": {"service_role": "insert select update"},
    "private.run_slices": {"service_role": ALL},
    "private.schedules": {"service_role": "select update"},
    # Changed by who owns the project, in SQL.
    "private.retention": {"service_role": "select"},
    "private.erasures": {"service_role": "select"},
    "private.statistics_marks": {"service_role": ALL},
    "private.statistics_drift": {"service_role": "insert select"},
    "private.push_providers": {"service_role": "insert select"},
    "private.outbox": {"service_role": ALL},
    "private.outbox_devices": {"service_role": ALL},
    "private.outbox_history": {"service_role": "insert select"},
    "private.cooldowns": {"service_role": ALL},
    "private.preference_history": {"service_role": "select"},
    "private.scenario_marks": {"service_role": ALL},
    "private.rule_clocks": {"service_role": "select update"},
    "private.certificate_history": {"service_role": "select"},
    "private.user_history": {"service_role": "select"},
    "private.held_decisions": {"service_role": ALL},
    "private.quarantine": {"service_role": ALL},
    "private.sweep_findings": {"service_role": "insert select"},
    # Member care.
    "public.families": {"authenticated": ALL, "service_role": ALL},
    "public.people": {"authenticated": "delete select", "service_role": "delete select"},
    "public.services": {"authenticated": ALL, "service_role": ALL},
    "public.attendance_records": {"authenticated": "delete select", "service_role": "delete select"},
    "public.groups": {"authenticated": ALL, "service_role": ALL},
    "public.group_memberships": {"authenticated": ALL, "service_role": ALL},
    "public.volunteering": {"authenticated": ALL, "service_role": ALL},
    "public.classes": {"authenticated": ALL, "service_role": ALL},
    "public.class_participations": {"authenticated": ALL, "service_role": ALL},
    "public.donations": {"authenticated": ALL, "service_role": ALL},
    # Cases are worked by functions alone.
    "public.pastoral_cases": {"authenticated": "select", "service_role": "insert select update"},
    "public.pastoral_contacts": {"authenticated": "select", "service_role": "select"},
    "public.pastoral_case_events": {"authenticated": "select", "service_role": "select"},
    "public.unassigned_pastoral_cases": {"authenticated": "select"},
    "public.people_engagement_scores": {"authenticated": "select"},
    "private.care_marks": {"service_role": ALL},
    "private.case_runs": {"service_role": "insert select update"},
    # The panel: views for managers, and not for the service.
    "public.students": {"authenticated": "select", "service_role": "delete select"},
    "public.student_attendance": {"authenticated": "select", "service_role": ALL},
    "public.learning_progress": {"authenticated": "select", "service_role": ALL},
    "public.student_notes": {"authenticated": "delete select", "service_role": "select"},
    "private.active_students": {"authenticated": "select"},
    "private.concerned_learners": {"authenticated": "select"},
    "mgmt.engagement_dau_90d_v": {"authenticated": "select"},
    "mgmt.engagement_daypart_retention_v": {"authenticated": "select"},
    "mgmt.engagement_dual_risk_students_v": {"authenticated": "select"},
    "mgmt.engagement_inactive_roster_v": {"authenticated": "select"},
    "mgmt.engagement_recent_reactivated_14d_v": {"authenticated": "select"},
    "mgmt.engagement_session_frequency_30d_v": {"authenticated": "select"},
    "mgmt.engagement_student_activity_v": {"authenticated": "select"},
    "mgmt.learning_at_risk_learners_v": {"authenticated": "select"},
    "mgmt.learning_stuck_students_v": {"authenticated": "select"},
    # What the panel's page reads besides.
    "mgmt.panel_figures": {"authenticated": "select"},
    "mgmt.panel_followups": {"authenticated": "select"},
    "mgmt.panel_notes": {"authenticated": "select"},
    "mgmt.panel_reader": {"authenticated": "select"},
    "mgmt.panel_returns": {"authenticated": "select"},
}

# Column by column, where a role may write only some.
COLUMNS: dict[tuple[str, str, str], str] = {
    ("public.users", "authenticated", "update"): "away_from away_until language time_zone",
    ("public.contacts", "authenticated", "update"): "display_name",
    ("public.notifications", "authenticated", "update"): "dismissed_at read_at",
    ("public.activities", "authenticated", "insert"): (
        "activity_type_id approval duration_minutes id occurred_at organization_id proxy_registered_by status user_id"
    ),
    ("public.activities", "authenticated", "update"): (
        "activity_type_id approval duration_minutes occurred_at status user_id"
    ),
    # What attendance says of people is the triggers' to write, and not the service's either.
    **{
        (relation, role, privilege): columns
        for relation, columns in (
            ("public.people", "family_id full_name id organization_id status"),
            (
                "public.attendance_records",
                "checked_in_at id organization_id person_id service_date service_id status",
            ),
        )
        for role in ("authenticated", "service_role")
        for privilege in ("insert", "update")
    },
    # So is what check-ins say of students.
    ("public.students", "service_role", "insert"): "full_name is_active level organization_id student_id",
    ("public.students", "service_role", "update"): "full_name is_active level organization_id student_id",
    # Neither whose a note is nor when it was written is anybody's to say.
    ("public.student_notes", "authenticated", "insert"): "body id kind student_id",
}

# function → roles besides the owner. The rest of the functions are nobody's.
FUNCTIONS: dict[str, str] = {
    # People, through the API.
    "public.invite_user": "authenticated",
    "public.revoke_invitation": "authenticated",
    "public.change_user": "authenticated",
    "public.team_statistics": "authenticated",
    "public.freeze_team_report": "authenticated",
    # Functions of the project, through the API with the secret key.
    "public.start_run": "service_role",
    "public.evaluate_chunk": "service_role",
    "public.pause_run": "service_role",
    "public.run_report": "service_role",
    "public.drain_scenario_marks": "service_role",
    "public.evaluate_people": "service_role",
    "public.evaluate_inactivity": "service_role",
    "public.evaluate_milestone": "service_role",
    "public.evaluate_certification_expiry": "service_role",
    "public.list_rules": "service_role",
    "public.preview_rule": "service_role",
    "public.save_rule": "service_role",
    "public.delete_rule": "service_role",
    "public.list_quarantine": "service_role",
    "public.retry_quarantine": "service_role",
    "public.should_notify": "service_role",
    "public.enqueue_notification": "service_role",
    "public.record_last_triggered": "service_role",
    "public.dry_run_scenarios": "service_role",
    "public.explain_scenarios": "service_role",
    "public.find_webhook_delivery": "service_role",
    "public.record_webhook_delivery": "service_role",
    "public.drain_statistics_marks": "service_role",
    "public.statistics_status": "service_role",
    "public.rebuild_statistics_chunk": "service_role",
    # What policies and checks ask on behalf of the reader.
    "private.current_user_id": "authenticated service_role",
    "private.current_organization_id": "authenticated service_role",
    "private.organization_as": "authenticated service_role",
    "private.allowed_setting": "authenticated service_role",
    "private.is_setting_valid": "authenticated service_role",
    "private.refuse": "authenticated service_role",
    "private.is_time_zone": "authenticated service_role",
    "private.is_scenario_type": "authenticated service_role",
    "private.scenario_types": "authenticated service_role",
    "private.local_date": "authenticated service_role",
    "private.local_midnight": "authenticated service_role",
    "private.is_period": "authenticated service_role",
    "private.period_start": "authenticated service_role",
    "private.period_end": "authenticated service_role",
    "private.has_statistics_mark": "authenticated service_role",
    # Health.
    "private.backlogs": "service_role",
    "private.cron_jobs": "service_role",
    "private.finding_kinds": "service_role",
    "private.foundations": "service_role",
    "private.health_at": "service_role",
    "private.platform_state": "service_role",
    "private.proofs": "service_role",
    "private.ring_health": "service_role",
    "private.schedule_health": "service_role",
    # What the functions above are made of; they run as their caller.
    "private.activate_rule": "service_role",
    "private.add_counts": "service_role",
    "private.are_thresholds": "service_role",
    "private.certificates_as_of": "service_role",
    "private.certification_expiry_candidates": "service_role",
    "private.certification_expiry_matches": "service_role",
    "private.check_rule": "service_role",
    "private.check_scenario_type": "authenticated service_role",
    "private.claim_notifications": "service_role",
    "private.claims_of": "service_role",
    "private.contacts_of_people": "service_role",
    "private.count_gates": "service_role",
    "private.count_outcomes": "service_role",
    "private.crossed_milestone_at": "service_role",
    "private.decide": "service_role",
    "private.decide_safely": "service_role",
    "private.delivery_gates": "service_role",
    "private.draft_rule": "service_role",
    "private.due_of_rule": "service_role",
    "private.explanations": "service_role",
    "private.facts": "service_role",
    "private.facts_as_of": "service_role",
    "private.facts_now": "service_role",
    "private.figures_of_days": "service_role",
    "private.figures_of_people": "service_role",
    "private.finish_chunk": "service_role",
    "private.inactivity_at_rest": "service_role",
    "private.inactivity_candidates": "service_role",
    "private.inactivity_matches": "service_role",
    "private.inform_coordinators": "service_role",
    "private.lone_rule": "service_role",
    "private.need_read_committed": "service_role",
    "private.lock_slice": "service_role",
    "private.mark_ended_streaks": "service_role",
    "private.mark_people": "service_role",
    "private.mark_statistics": "service_role",
    "private.matching_subjects": "service_role",
    "private.milestone_candidates": "service_role",
    "private.milestone_matches": "service_role",
    "private.milestone_periods": "service_role",
    "private.muted_and_awake": "service_role",
    "private.new_bell_id": "service_role",
    "private.next_people": "service_role",
    "private.oldest_statistics_work": "service_role",
    "private.opted_out_of": "service_role",
    "private.open_run": "service_role",
    "private.organization_of_user": "service_role",
    "private.people": "service_role",
    "private.post_signed": "service_role",
    "private.question_time": "service_role",
    "private.raw_totals": "service_role",
    "private.rebuild_statistics": "service_role",
    "private.recompute_statistics": "service_role",
    "private.record_achievements": "service_role",
    "private.record_findings": "service_role",
    "private.record_held": "service_role",
    "private.release_at": "service_role",
    "private.retract_unmatched": "service_role",
    "private.ring_again": "service_role",
    "private.rules_of": "service_role",
    "private.scenario_gates": "service_role",
    "private.scenario_matches": "service_role",
    "private.sweep_matches": "service_role",
    "private.take_chunk": "service_role",
    "private.take_due": "service_role",
    "private.tick_scenarios": "service_role",
    "private.take_slice": "service_role",
    "private.time_zone_of_user": "service_role",
    "private.totals": "service_role",
    "private.totals_as_of": "service_role",
    "private.totals_now": "service_role",
    # Member care.
    "public.log_contact": "authenticated",
    "public.reassign_case": "authenticated",
    "public.work_case": "authenticated",
    "private.engagement_scores": "authenticated",
    "public.auto_generate_absence_pastoral_cases": "service_role",
    "public.drain_care_marks": "service_role",
    "public.work_case_run": "service_role",
    "private.absence_spell": "service_role",
    "private.absence_threshold": "service_role",
    "private.apply_case_changes": "service_role",
    "private.case_changes": "service_role",
    "private.case_claim": "service_role",
    "private.check_rule_type": "service_role",
    "private.forget_case_news": "service_role",
    "private.people_to_tend": "service_role",
    "private.retract_case_news": "service_role",
    "private.rule_types": "service_role",
    "private.servant_of": "service_role",
    "private.servants_with_news": "service_role",
    "private.tell_servants": "service_role",
    "private.tend_cases": "service_role",
    "private.are_engagement_numbers": "authenticated service_role",
    "private.panel_settings": "authenticated",
    # People's rights. (What the first two are made of is their owner's alone.)
    "public.export_person": "service_role",
    "public.erase_person": "service_role",
    "public.export_my_data": "authenticated",
    "private.is_retention_valid": "service_role",
    "private.kept_since": "service_role",
    "private.person_kinds": "service_role",
    "private.unmatched_notifications": "service_role",
    "private.write_figures": "service_role",
    # Delivery.
    "public.register_device": "authenticated",
    "public.unregister_device": "authenticated",
    "public.claim_outbox": "service_role",
    "public.claim_receipts": "service_role",
    "public.confirm_outbox": "service_role",
    "public.declare_push_providers": "service_role",
    "public.give_back_outbox": "service_role",
    "public.list_outbox": "service_role",
    "public.outbox_status": "service_role",
    "public.record_outbox": "service_role",
    "public.record_receipts": "service_role",
    "public.replay_outbox": "service_role",
    "public.retry_outbox": "service_role",
    "public.show_outbox": "service_role",
    "private.default_templates": "authenticated service_role",
    "private.instant_of": "authenticated service_role",
    "private.is_language": "authenticated service_role",
    "private.languages": "authenticated service_role",
    "private.render_template": "authenticated service_role",
    "private.rendered_notifications": "authenticated service_role",
    "private.template_forms": "authenticated service_role",
    "private.template_placeholders": "authenticated service_role",
    "private.template_values": "authenticated service_role",
    "private.written_date": "authenticated service_role",
    "private.check_limit": "service_role",
    "private.has_arrived": "service_role",
    "private.gone_notifications": "service_role",
    "private.hold_pushes": "service_role",
    "private.is_case_of": "service_role",
    "private.is_device_token": "service_role",
    "private.judge_conditions": "service_role",
    "private.keep_outcomes": "service_role",
    "private.lock_held_pushes": "service_role",
    "private.oldest_push_work": "service_role",
    "private.organization_of_push": "service_role",
    "private.outbox_row": "service_role",
    "private.push_messages": "service_role",
    "private.push_outcomes": "service_role",
    "private.release_gates": "service_role",
    "private.release_pushes": "service_role",
    "private.requeue_pushes": "service_role",
    "private.settle_pushes": "service_role",
    "private.take_back": "service_role",
    "private.take_pushes": "service_role",
}

# Objects of an extension are not ours to judge.
_GRANTED = """
  select n.nspname || '.' || {name} as object, coalesce(r.rolname, 'PUBLIC') as role,
    lower(x.privilege_type) as privilege
  from {catalog} o
  join pg_namespace n on n.oid = o.{namespace}
  cross join lateral aclexplode(coalesce(o.{acl}, acldefault('{kind}', o.{owner}))) x
  left join pg_roles r on r.oid = x.grantee
  where n.nspname in ('public', 'private', 'mgmt') and x.grantee <> o.{owner} and {filter}
    and not exists (select from pg_depend d where d.objid = o.oid and d.deptype = 'e')
"""
_CLASS = {"name": "o.relname", "catalog": "pg_class", "namespace": "relnamespace", "acl": "relacl", "owner": "relowner"}
_PROC = {"name": "o.proname", "catalog": "pg_proc", "namespace": "pronamespace", "acl": "proacl", "owner": "proowner"}
_RELATIONS = _GRANTED.format(**_CLASS, kind="r", filter="o.relkind in ('r', 'p', 'v', 'm', 'f')")
_SEQUENCES = _GRANTED.format(**_CLASS, kind="s", filter="o.relkind = 'S'")
_FUNCTIONS = _GRANTED.format(**_PROC, kind="f", filter="true")
_COLUMNS = """
  select n.nspname || '.' || c.relname, coalesce(r.rolname, 'PUBLIC'), lower(x.privilege_type),
    string_agg(a.attname, ' ' order by a.attname)
  from pg_attribute a
  join pg_class c on c.oid = a.attrelid
  join pg_namespace n on n.oid = c.relnamespace
  cross join lateral aclexplode(a.attacl) x
  left join pg_roles r on r.oid = x.grantee
  where n.nspname in ('public', 'private', 'mgmt')
  group by 1, 2, 3
"""


def relations(connection: psycopg.Connection[object]) -> Granted:
    """What is granted on tables and views, to whom besides their owner."""
    return _gather(_rows(connection, _RELATIONS))


def columns(connection: psycopg.Connection[object]) -> Columns:
    """What is granted on single columns."""
    return {(relation, role, right): names for relation, role, right, names in _rows(connection, _COLUMNS)}


def functions(connection: psycopg.Connection[object]) -> Granted:
    """Who may call what."""
    return _gather(_rows(connection, _FUNCTIONS))


def sequences(connection: psycopg.Connection[object]) -> Granted:
    """What is granted on sequences: nothing, as an identity column needs no right on its own."""
    return _gather(_rows(connection, _SEQUENCES))


def expected_functions() -> Granted:
    """FUNCTIONS in the shape of what is found."""
    return {name: dict.fromkeys(roles.split(), "execute") for name, roles in FUNCTIONS.items()}


def _rows(connection: psycopg.Connection[object], query: str) -> list[tuple[str, ...]]:
    with connection.cursor(row_factory=tuple_row) as cursor:
        return cursor.execute(query.encode()).fetchall()


def _gather(rows: Iterable[tuple[str, ...]]) -> Granted:
    found: dict[str, dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
    for name, role, privilege in rows:
        found[name][role].add(privilege)
    return {name: {role: " ".join(sorted(p)) for role, p in roles.items()} for name, roles in found.items()}
