"""Where the numbers of recount and reports come from: the portal's directory, the norms, the local tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from b24sync.clock import Clock
from b24sync.config import Config
from b24sync.errors import ConfigError, PortalRefused
from b24sync.portal.directory import Directory, Pipeline, Stage, User, nearest, read_directory
from b24sync.portal.items import COMPANY, DEAL, walk
from b24sync.portal.norm_names import resolve_norms
from b24sync.portal.stage_fields import RECOUNTED
from b24sync.reporting.calendars import Calendars
from b24sync.reporting.lives import Scope
from b24sync.reporting.norms import Norm, NormBook
from b24sync.reporting.refresh import Own, Refresher
from b24sync.reporting.reports import Names, Reporter
from b24sync.reporting.tables import Report
from b24sync.store.engine import Store
from b24sync.store.names import PIPELINE, STAGE, USER, Name, meant_by_norms, read_names, remember_norms
from b24sync.store.timelines import Timelines
from b24sync.transport.client import PortalClient

LAST_YEAR = date.max.year
SEMANTICS: Mapping[str, str] = {"P": "process", "S": "success", "F": "failure"}


def directory_with_users(client: PortalClient, notes: list[str]) -> Directory:
    """The deals' directory; without users, and with a note, where the webhook lacks that scope."""
    try:
        return read_directory(client, DEAL)
    except PortalRefused as error:
        if error.method != "user.get":
            raise
        notes.append("The webhook may not read users (scope user): reports show their ids.")
        return read_directory(client, DEAL, users=False)


def directory_of(names: Sequence[Name]) -> Directory:
    """What the portal's directory said last: pipelines and stages that are there, and all users. No fields."""
    pipelines = [Pipeline(int(one.id), one.name) for one in names if one.kind == PIPELINE and not one.gone]
    stages = [
        Stage(one.id, one.name, one.parent_id, SEMANTICS.get(one.group, "process"), one.sort)
        for one in names
        if one.kind == STAGE and not one.gone
    ]
    users = [User(int(one.id), one.name, one.email, not one.gone) for one in names if one.kind == USER]
    return Directory(DEAL, users, pipelines, stages, {}, {})


def refresher_of(
    client: PortalClient, store: Store, portal: str, clock: Clock, config: Config, directory: Directory
) -> Refresher:
    """Reads deals with the user fields that norms name, that the recount writes, and that hold refused dates."""
    codes = [*RECOUNTED, *(norm.field for norm in config.stages.norm if norm.field)]
    fallback = config.imports.history_fallback
    own = Own(
        [code for code in dict.fromkeys(codes) if code in directory.fields],
        fallback if fallback in directory.fields else None,
    )
    zone = config.portal_named(portal)[1].zone
    return Refresher(client, store, portal, clock, zone, directory, own)


def norm_book(config: Config, store: Store, portal: str, directory: Directory, notes: list[str]) -> NormBook:
    """The norms of the configuration against this portal; what does not resolve goes into `notes`."""
    zone = config.portal_named(portal)[1].zone
    resolved = resolve_norms(config.stages.norm, directory, meant_by_norms(store, portal))
    remember_norms(store, portal, resolved.meant)
    notes += [*resolved.absent, *resolved.warnings]
    norms = [
        Norm(pipeline_id, stage_id, line.days, line.calendar, line.field, line.valid_from)
        for line, pipeline_id, stage_id in resolved.norms
    ]
    return NormBook(norms, Calendars(zone, config.recount.country))


def chosen_pipeline(directory: Directory, name: str) -> int:
    """The id of a pipeline by name or id. Raises ConfigError with the nearest names."""
    pipeline = directory.pipeline(name)
    if pipeline is None:
        known = [one.name for one in directory.pipelines]
        raise ConfigError(f"There is no pipeline {name!r}.", [f"nearest: {', '.join(nearest(name, known) or known)}"])
    return pipeline.id


def chosen_users(directory: Directory, name: str) -> list[int]:
    """Ids of the users that an e-mail, an id or a name means. Raises ConfigError with the nearest names."""
    found = [user.id for user in directory.users_by(name)]
    if not found and name.isdigit():
        return [int(name)]
    if not found:
        known = [user.name for user in directory.users]
        raise ConfigError(f"There is no user {name!r}.", [f"nearest: {', '.join(nearest(name, known)) or 'nobody'}"])
    return found


def as_of_moment(said: str | None, zone: ZoneInfo, now: float) -> float:
    """A date (its end, for today: now) or a moment in unix seconds; now where nothing is said. Raises ConfigError."""
    if said is None:
        return now
    begin, end = _span(said, zone)
    if begin > now:
        raise ConfigError(f"--as-of {said} lies in the future: nobody knows yet where deals will stand.")
    return min(end, now)


def period(said_from: str | None, said_to: str | None, zone: ZoneInfo, now: float) -> tuple[float, float]:
    """(start, end) of a period in unix seconds; the last day is included, and may be to come. Raises ConfigError."""
    # Before 1970 there were no deals: how people write "ever".
    start = 0.0 if said_from is None else max(0.0, _span(said_from, zone)[0])
    end = float("inf") if said_to is None else _span(said_to, zone)[1]
    if end <= start:
        raise ConfigError(f"--from {said_from} --to {said_to}: the period ends before it begins.")
    if start > now:
        raise ConfigError(f"--from {said_from} lies in the future: nothing has happened yet in such a period.")
    return start, end


def _span(said: str, zone: ZoneInfo) -> tuple[float, float]:
    """A date as its first and last moment, a moment as itself twice."""
    for form in ("%Y-%m-%d", "%d.%m.%Y"):
        try:
            day: date = datetime.strptime(said, form).date()
        except ValueError:
            continue
        begin = datetime(day.year, day.month, day.day, tzinfo=zone).timestamp()
        if day.year == LAST_YEAR:
            return begin, float("inf")  # how people write "never"
        after = day + timedelta(days=1)
        return begin, datetime(after.year, after.month, after.day, tzinfo=zone).timestamp()
    try:
        moment = datetime.fromisoformat(said)
    except ValueError:
        raise ConfigError(f"{said!r} is no date: write 2026-11-25, 25.11.2026 or 2026-11-25T18:00.") from None
    at = (moment if moment.tzinfo else moment.replace(tzinfo=zone)).timestamp()
    return at, at


def chosen_companies(client: PortalClient, said: Sequence[str]) -> list[int]:
    """Ids of companies by id or exact title. Cost: one request per 2,500 of a title. Raises ConfigError."""
    found: list[int] = []
    for name in said:
        if name.isdigit():
            found.append(int(name))
            continue
        ids = [int(row["id"]) for row in walk(client, COMPANY, {"=title": name}, ["id"])]
        if not ids:
            raise ConfigError(f"There is no company {name!r}.", ["give its whole title, or its id"])
        found += ids
    return found


def local_report(
    config: Config, store: Store, portal: str, name: str, scope: Scope, language: str, notes: list[str]
) -> Report:
    """The report `name` out of the local tables. Costs no request."""
    names = read_names(store, portal)
    book = norm_book(config, store, portal, directory_of(names), notes)
    reporter = Reporter(scope, book, Names(names), config.portal_named(portal)[1].zone, language)
    return reporter.make(name, Timelines(store, portal))
