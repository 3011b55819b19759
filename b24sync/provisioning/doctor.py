"""`doctor`: is everything there that the enabled features need? Looks, and writes nothing that stays.

The right to import cannot be read by REST, so rows that the portal must refuse are offered to it: with the right
it complains about their date (crm/universal/import/index.md: not later than now), without it about the right.
"""

from __future__ import annotations

import shutil
import socket
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import getproxies

from b24sync.bulk.workflow_starts import resolve_rules
from b24sync.clock import Clock
from b24sync.config import Config, PortalConfig, is_loopback
from b24sync.errors import B24SyncError, ConfigError, OutcomeUnknown, PortalBlocked, PortalRefused, RetryLater
from b24sync.portal.directory import read_directory
from b24sync.portal.items import COMPANY, CONTACT, DEAL, ENTITY_NAMES, LEAD
from b24sync.portal.norm_names import resolve_norms
from b24sync.portal.words import is_yes
from b24sync.portal.workflows import deal_templates
from b24sync.provisioning.apply import Provisioner
from b24sync.provisioning.blueprint import Blueprint
from b24sync.provisioning.features import enabled_features, feature_fields, labelled_fields
from b24sync.provisioning.findings import (
    BLOCKED_EXIT,
    LATER_EXIT,
    Finding,
    error,
    ok,
    unchecked,
    warning,
)
from b24sync.provisioning.temporary import Temporary
from b24sync.store.engine import Store, sqlite_path
from b24sync.store.ledger import count_open
from b24sync.store.names import meant_by_norms
from b24sync.transport.client import PortalClient
from b24sync.transport.gate import Gate
from b24sync.transport.outcomes import Done, Refused
from b24sync.transport.protocol import Command
from b24sync.working_dates import working_dates

CONNECT_TIMEOUT_S = 5.0
SKEW_WARNING_S, SKEW_ERROR_S = 30.0, 300.0
DISK_WARNING_B, DISK_ERROR_B = 1_000_000_000, 100_000_000
IMPORTED = (DEAL, CONTACT, COMPANY, LEAD)
NO_RIGHT = ("ACCESS_DENIED", "INVALID_CREDENTIALS")
FUTURE = timedelta(days=2)


@dataclass(slots=True)
class Patient:
    """What the checks look at. `store` and `client` are there, or there is a finding that says why not."""

    config: Config
    portal: str
    portal_config: PortalConfig
    webhook: str
    store: Store
    clock: Clock
    gate: Gate
    client: PortalClient
    answers: dict[str, Done | Refused] = field(default_factory=dict)


def examine(patient: Patient) -> Iterator[Finding]:
    """Every check in order, each as soon as it is known. Cost: about 15 requests."""
    yield from _files(patient)
    yield from _store(patient)
    yield from _limits(patient)
    unreachable = _unreachable(patient.webhook)
    if unreachable is not None:
        yield unreachable
        return
    try:
        yield from _portal(patient)
    except PortalBlocked as blocked:
        yield error("portal", str(blocked), "act as the message says, then run doctor again", BLOCKED_EXIT)
    except (RetryLater, OutcomeUnknown) as away:
        yield error("portal", str(away), "check the address and the line, then run doctor again", LATER_EXIT)


# -- this side --------------------------------------------------------------------------------------------


def _files(patient: Patient) -> Iterator[Finding]:
    config = patient.config
    yield ok("configuration", f"read; portal {patient.portal!r}")
    secret_file = patient.portal_config.webhook_file
    if secret_file is not None and _readable_by_others(config.resolve(secret_file)):
        yield warning("secrets", f"{secret_file} can be read by other users", f"chmod 600 {secret_file}")
    named = (*config.paths.rules, *config.paths.importers) if "paths" in config.model_fields_set else ()
    folders = [path for path in named if not config.resolve(path).exists()]
    if folders:
        names = ", ".join(map(str, folders))
        yield warning("paths", f"no such folder: {names}", "correct [paths], or make it: `b24sync init` shows how")
    if config.rules and not config.daemon.public_url:
        yield warning(
            "public address",
            "[daemon] public_url is not set: the daemon works by sweeps alone, minutes later",
            "set public_url and an outgoing webhook in the portal, if that is too slow",
        )
    if config.daemon.public_url and not (patient.portal_config.application_tokens or patient.portal_config.oauth):
        yield error(
            "public address",
            "public_url is set, and no application_tokens: no event would be accepted",
            "put the outgoing webhook's token into [portal] application_tokens",
        )


def _readable_by_others(path: Path) -> bool:
    return path.exists() and bool(path.stat().st_mode & 0o077)


def _store(patient: Patient) -> Iterator[Finding]:
    url = patient.store.url
    yield ok("store", f"{'SQLite' if patient.store.is_sqlite else 'PostgreSQL'}, schema up to date, writable")
    opened = count_open(patient.store, patient.portal)
    if opened:
        words = ", ".join(f"{count} of {what}" for what, count in sorted(opened.items()))
        yield warning(
            "unanswered writes",
            f"sent or unknown: {words}",
            "run the command that sent them again: it looks them up in the portal",
        )
    if not patient.store.is_sqlite:
        return
    folder = sqlite_path(url).parent
    free = shutil.disk_usage(folder).free
    said = f"{free / 1e9:.1f} GB free at {folder}"
    if free < DISK_ERROR_B:
        yield error("disk", said, "free the disk: nothing is sent that cannot be recorded first")
    elif free < DISK_WARNING_B:
        yield warning("disk", said, "free some space: an import of 100,000 rows needs about 200 MB")
    else:
        yield ok("disk", said)


def _limits(patient: Patient) -> Iterator[Finding]:
    limits = patient.config.limits
    shot: Mapping[str, Any] = patient.gate.snapshot()
    rehearsal = is_loopback(urlsplit(patient.webhook).hostname or "")
    if limits.plan in ("custom", "off") and not rehearsal:
        yield warning(
            "limits",
            f"[limits] plan = {limits.plan!r}: the portal's own limits may be stricter",
            'right for an on-premise portal; of a cloud portal it is "standard" or "enterprise"',
        )
    else:
        yield ok("limits", f"plan {limits.plan!r}")
    stopped = shot["stopped"]
    if stopped:
        yield warning("gate", f"the portal stopped us before: {stopped['code']}", "see below whether it answers now")
    foreign = [row["method"] for row in shot["methods"] if row["foreign_use"]]
    if foreign:
        yield warning(
            "foreign use",
            f"something else uses the budget of {', '.join(foreign)}",
            "give every integration a webhook of its own",
        )


def _unreachable(webhook: str) -> Finding | None:
    """A look at the line before the client's patience of half a minute. Behind a proxy only the proxy knows."""
    parts = urlsplit(webhook)
    host, port = parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)
    if getproxies() and not is_loopback(host):
        return None
    try:
        with socket.create_connection((host, port), timeout=CONNECT_TIMEOUT_S):
            return None
    except OSError as cause:
        said = f"{host}:{port} cannot be reached: {cause.strerror or cause}"
        return error("portal", said, "check the address, the line and the firewall, then run doctor again", LATER_EXIT)


# -- the portal -------------------------------------------------------------------------------------------

QUESTIONS: Mapping[str, Command] = {
    "time": Command("server.time", {}),
    "profile": Command("profile", {}),
    "scope": Command("scope", {}),
    "types": Command("crm.type.list", {}),
}


def _portal(patient: Patient) -> Iterator[Finding]:
    patient.answers = patient.client.read_all(QUESTIONS, priority="interactive")
    yield _address(patient)
    scopes = _scopes(patient.answers["scope"])
    yield from _scope_findings(patient, scopes)
    yield from _administrator(patient)
    yield _settings_right(patient)
    yield from _guarded("import right", lambda: _import_right(patient))
    yield from _guarded("temporary things", lambda: _tidied(patient))
    yield _clock_finding(patient)
    yield from _zone(patient)
    yield from _guarded("workflows", lambda: _workflows(patient))
    yield from _guarded("stage norms", lambda: _norms(patient))
    yield from _guarded("holidays", lambda: _holidays(patient))
    yield from _guarded("fields of features", lambda: _fields(patient))


def _guarded(check: str, find: Callable[[], Iterable[Finding]]) -> Iterator[Finding]:
    """A refusal inside one check is its finding; the others go on."""
    try:
        yield from find()
    except PortalRefused as refused:
        yield error(check, str(refused), "give the webhook this scope and its user this right")
    except ConfigError as mistakes:
        yield error(check, _in_one_line(mistakes), "correct the configuration")


def _address(patient: Patient) -> Finding:
    host = patient.client.host
    profile = _profile(patient)
    who = " ".join(part for part in (str(profile.get("NAME") or ""), str(profile.get("LAST_NAME") or "")) if part)
    user = f"as {who} (user {profile['ID']})" if profile.get("ID") else "as a user that it does not name"
    if is_loopback(urlsplit(patient.webhook).hostname or ""):
        return ok("address", f"{host} answers {user}: a rehearsal on this machine")
    return ok("address", f"{host} answers {user}")


def _profile(patient: Patient) -> dict[str, Any]:
    answer = patient.answers["profile"]
    return dict(answer.result) if isinstance(answer, Done) and isinstance(answer.result, Mapping) else {}


def _scopes(answer: Done | Refused) -> set[str] | None:
    """What was ticked in the webhook; None where the portal does not tell (common/system/scope.md)."""
    if isinstance(answer, Refused):
        return None
    given = answer.result
    if isinstance(given, str):
        given = given.split(",")
    rows = given.values() if isinstance(given, Mapping) else given
    return {str(one).strip() for one in rows} if rows else set()


def _scope_findings(patient: Patient, scopes: set[str] | None) -> Iterator[Finding]:
    if scopes is None:
        yield unchecked("scopes", "the portal does not tell the webhook's scopes")
        return
    lacking: dict[str, list[str]] = {}
    for feature in enabled_features(patient.config):
        for wanted in feature.scopes:
            if not scopes & set(wanted.split("|")):
                lacking.setdefault(wanted.split("|")[0], []).append(feature.name)
    for scope, names in lacking.items():
        yield error(
            "scopes",
            f"the webhook lacks the scope {scope}, needed by: {', '.join(names)}",
            f"tick {scope} in the portal: Developer resources > Integrations > the webhook",
        )
    if not lacking:
        yield ok("scopes", "all that the enabled features need")


def _administrator(patient: Patient) -> Iterator[Finding]:
    profile = _profile(patient)
    if "ADMIN" not in profile:
        yield unchecked("administrator", "the portal does not tell whether the webhook's user is one")
        return
    if is_yes(profile["ADMIN"]):
        yield ok("administrator", "the webhook's user is one")
        return
    features = [feature for feature in enabled_features(patient.config) if feature.needs_admin]
    hard = [feature.name for feature in features if feature.name != "import of history"]
    if hard:
        yield error(
            "administrator",
            f"the webhook's user is none, and these need one: {', '.join(hard)}",
            "make the webhook as an administrator",
        )
    if len(hard) < len(features):
        yield warning(
            "administrator",
            "the webhook's user is none: the portal refuses created and updated times of imported rows",
            "make the webhook as an administrator, or set [import] history = false",
        )
    if not features:
        yield ok("administrator", "the webhook's user is none, and nothing enabled needs one")


def _settings_right(patient: Patient) -> Finding:
    """crm.type.list wants an administrator of the CRM (user-defined-object-types/crm-type-list.md)."""
    answer = patient.answers["types"]
    if isinstance(answer, Done):
        return ok("CRM settings", "the webhook's user may change them: `portal apply` can work")
    if answer.code == "ERROR_METHOD_NOT_FOUND":
        return unchecked("CRM settings", "the portal has no smart processes, by which this right is seen")
    needed = bool(patient.config.paths.blueprint or feature_fields(patient.config) or labelled_fields(patient.config))
    said = f"the webhook's user may not change them ({answer.code}: {answer.text})"
    todo = 'CRM > Settings > Access permissions: give its role "Allow to change settings"'
    return error("CRM settings", said, todo) if needed else warning("CRM settings", said, todo)


def _import_right(patient: Patient) -> Iterator[Finding]:
    temporary = Temporary(patient.client, patient.store, patient.portal, patient.clock)
    temporary.remove_all()  # what an earlier look has left would be found, and nothing sent
    later = datetime.fromtimestamp(patient.clock.wall_s(), UTC) + FUTURE
    lacking = []
    for entity_type_id in IMPORTED:
        try:
            temporary.item(entity_type_id, "import-right", {"createdTime": later.isoformat(timespec="seconds")})
        except PortalRefused as refused:
            if is_rights_refusal(refused):
                lacking.append(f"{ENTITY_NAMES[entity_type_id]} ({refused.code}: {refused.text})")
    if lacking:
        yield error(
            "import right",
            f"the webhook's user may not import: {', '.join(lacking)}. Every row would be refused",
            'CRM > Settings > Access permissions: give its role the right "Import", or use another user\'s webhook',
        )
    else:
        yield ok("import right", f"held for {', '.join(ENTITY_NAMES[one] for one in IMPORTED)}")


def _tidied(patient: Patient) -> Iterator[Finding]:
    """What this look, or an earlier one that was killed, has left behind; nothing is said of what is gone."""
    Temporary(patient.client, patient.store, patient.portal, patient.clock).remove_all()
    yield from ()


def is_rights_refusal(refused: PortalRefused) -> bool:
    """Whether the refusal is about a right: item methods have codes, classic ones only English texts."""
    text = refused.text.casefold()
    return refused.code in NO_RIGHT or "access denied" in text or "доступ запрещ" in text


def _clock_finding(patient: Patient) -> Finding:
    skew = patient.client.server_skew_s
    if skew is None:
        return unchecked("clock", "the portal's answers carry no time")
    said = f"this machine is {abs(skew):.0f} s {'behind' if skew > 0 else 'ahead of'} the portal"
    todo = "synchronise this machine's clock (systemd-timesyncd, chrony)"
    if abs(skew) >= SKEW_ERROR_S:
        return error("clock", said, todo)
    return warning("clock", said, todo) if abs(skew) >= SKEW_WARNING_S else ok("clock", said)


def _zone(patient: Patient) -> Iterator[Finding]:
    """Times in files without a zone are read in [portal] timezone; the server's offset is a hint, no more."""
    zone = patient.portal_config.zone
    now = datetime.fromtimestamp(patient.clock.wall_s(), zone)
    told = str(_profile(patient).get("TIME_ZONE") or "")
    if told and told != patient.portal_config.timezone:
        yield warning(
            "time zone",
            f"the configuration says {zone.key}, the webhook's user has {told}",
            "set [portal] timezone to the zone of the portal's people",
        )
        return
    answer = patient.answers["time"]
    server = _moment(answer.result) if isinstance(answer, Done) else None
    if server is None:
        yield unchecked("time zone", "the portal does not tell its time")
    elif server.utcoffset() != now.utcoffset():
        yield warning(
            "time zone",
            f"the configuration says {zone.key} ({now:%z}), the portal's server runs at {server:%z}",
            "right if the portal's people live in another zone than its server; else set [portal] timezone",
        )
    else:
        yield ok("time zone", f"{zone.key}, like the portal's server")


def _moment(value: Any) -> datetime | None:
    try:
        moment = datetime.fromisoformat(str(value))
    except ValueError:
        return None
    return moment if moment.tzinfo else None


def _workflows(patient: Patient) -> Iterator[Finding]:
    lines = patient.config.workflows.start
    if not lines:
        return
    directory = read_directory(patient.client, DEAL, users=False)
    resolve_rules(lines, directory, deal_templates(patient.client))
    yield ok("workflows", f"{len(lines)} lines fit the portal's pipelines, stages and templates")
    untraced = [str(line.template) for line in lines if not line.trace]
    if untraced:
        yield warning(
            "workflow traces",
            f"without a trace: {', '.join(untraced)}. A lost answer may stay unknown where a template ends at once",
            "let the template write a deal field and name it as `trace`",
        )


def _norms(patient: Patient) -> Iterator[Finding]:
    norms = patient.config.stages.norm
    if not norms:
        return
    directory = read_directory(patient.client, DEAL, users=False)
    found = resolve_norms(norms, directory, meant_by_norms(patient.store, patient.portal))
    if found.absent:
        said = "; ".join(found.absent)
        yield error("stage norms", said, "correct [[stages.norm]], or make the stage: portal apply")
    if found.warnings:
        said = "; ".join(found.warnings)
        yield warning("stage norms", said, "correct [[stages.norm]], or make the field: portal apply")
    if not found.absent and not found.warnings:
        yield ok("stage norms", f"{len(norms)} norms fit the portal's stages")


def _holidays(patient: Patient) -> Iterator[Finding]:
    if any(norm.calendar == "working" for norm in patient.config.stages.norm):
        working_dates(patient.config.recount.country)
        yield ok("holidays", f"known for {patient.config.recount.country}: norms count working days")


def _fields(patient: Patient) -> Iterator[Finding]:
    needed, labelled = feature_fields(patient.config), labelled_fields(patient.config)
    if not needed and not labelled:
        return
    blueprint = Blueprint().with_fields(needed)
    plan = Provisioner(patient.client, patient.store, patient.portal, patient.clock, blueprint, labelled).plan()
    missing = plan.lines()
    if plan.conflicts:
        yield error("fields of features", "; ".join(plan.conflicts), "use another field, or delete that one by hand")
    elif missing:
        yield warning("fields of features", "; ".join(missing), "run `b24sync portal apply`")
    else:
        yield ok("fields of features", f"all {len(needed) + len(labelled)} are there")


def failed_to_open(cause: B24SyncError) -> Finding:
    """What doctor says when it cannot even begin."""
    check = "configuration" if isinstance(cause, ConfigError) else "store"
    todo = "correct the file" if isinstance(cause, ConfigError) else "mend the path, the rights or the disk"
    said = _in_one_line(cause) if isinstance(cause, ConfigError) else str(cause)
    return error(check, said, todo, cause.exit_code)


def _in_one_line(mistakes: ConfigError) -> str:
    return f"{mistakes.message.rstrip(':.')}: {'; '.join(mistakes.problems)}".removesuffix(": ")
