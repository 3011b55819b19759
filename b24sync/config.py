"""The configuration: typed, closed, every mistake at once (design 9).

Loaded once and passed down, never global. Relative paths are relative to the config file. A secret may
come from the file, from a file of its own (`webhook_file`) or from the environment
(`B24SYNC_PORTAL__WEBHOOK`); mistakes name keys only, because values may be secret.
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Annotated, Any, Literal, get_args
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    field_validator,
    model_validator,
)

from b24sync.errors import ConfigError

UNITS_S = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}


def seconds_of(text: str) -> float:
    """`90s`, `20m`, `4h`, `1d` in seconds. Raises ValueError for anything else."""
    match = re.fullmatch(r"([0-9]+)([smhd])", text)
    if match is None or int(match[1]) == 0:
        raise ValueError("give a number and s, m, h or d, such as 90s or 4h")
    return float(int(match[1]) * UNITS_S[match[2]])


def _is_duration(value: str) -> str:
    seconds_of(value)
    return value


def _is_user_field(value: str) -> str:
    if not re.fullmatch(r"UF_[A-Z0-9_]+", value):
        raise ValueError("is not the code of a user field, such as UF_CRM_SOURCE_DATE")
    return value


def _is_schedule(value: str) -> str:
    from cronsim import CronSim, CronSimError

    try:
        next(CronSim(value, datetime.now(UTC)))
    except (CronSimError, StopIteration):
        raise ValueError("is no schedule, such as 0 2 * * *") from None
    return value


PortalName = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,63}$")]
Duration = Annotated[str, AfterValidator(_is_duration)]
UserField = Annotated[str, AfterValidator(_is_user_field)]
Schedule = Annotated[str, AfterValidator(_is_schedule)]


class Closed(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


class OAuthConfig(Closed):
    """A local application of the portal, for what an incoming webhook may not do (settings/oauth/index.md)."""

    client_id: str
    client_secret: SecretStr | None = None
    client_secret_file: Path | None = None
    server: str = "https://oauth.bitrix24.tech"

    @field_validator("server")
    @classmethod
    def _is_safe(cls, value: str) -> str:
        parts = urlsplit(value)
        if parts.scheme != "https" and not (parts.scheme == "http" and is_loopback(parts.hostname or "")):
            raise ValueError("must be https: plain http is accepted on loopback only (the sandbox)")
        return value


class PortalConfig(Closed):
    """One portal: its incoming webhook and how its people's clocks run."""

    webhook: SecretStr | None = None
    webhook_file: Path | None = None
    role_webhook: SecretStr | None = None
    role_webhook_file: Path | None = None
    application_tokens: tuple[SecretStr, ...] = ()
    timezone: str = "Europe/Moscow"
    hosts: tuple[str, ...] = ()
    oauth: OAuthConfig | None = None

    @field_validator("webhook", "role_webhook")
    @classmethod
    def _is_webhook(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None:
            check_webhook_url(value.get_secret_value())
        return value

    @field_validator("timezone")
    @classmethod
    def _is_zone(cls, value: str) -> str:
        # Opened rather than looked for among all names, which reads the whole folder of zones at every start.
        try:
            ZoneInfo(value)
        except (LookupError, ValueError, OSError):
            found = False
        else:
            found = not value.startswith(("posix/", "right/"))
        if not found:
            raise ValueError("is not the name of a time zone, such as Europe/Moscow")
        return value

    @property
    def zone(self) -> ZoneInfo:
        return ZoneInfo(self.timezone)


class LimitsConfig(Closed):
    """The portal's published limits (settings/performance/limits.md)."""

    plan: Literal["standard", "enterprise", "off", "custom"] = "standard"
    rate_per_s: float | None = Field(None, gt=0)
    burst: float | None = Field(None, gt=0)
    operating_limit_s: float | None = Field(None, gt=0)
    request_cap_s: float | None = Field(None, gt=0)

    @model_validator(mode="after")
    def _numbers_only_with_custom(self) -> LimitsConfig:
        given = [
            name
            for name in ("rate_per_s", "burst", "operating_limit_s", "request_cap_s")
            if getattr(self, name) is not None
        ]
        if given and self.plan != "custom":
            raise ValueError(f'{", ".join(given)} count only with plan = "custom"')
        return self


class StoreConfig(Closed):
    url: str = "sqlite:///var/b24sync.db"

    @field_validator("url")
    @classmethod
    def _is_known_store(cls, value: str) -> str:
        if not value.startswith(("sqlite:///", "postgresql+psycopg://")):
            raise ValueError("must begin with sqlite:/// or postgresql+psycopg://")
        return value


class PathsConfig(Closed):
    rules: tuple[Path, ...] = (Path("rules"),)
    importers: tuple[Path, ...] = (Path("importers"),)
    blueprint: Path | None = None


class ImportConfig(Closed):
    way: Literal["auto", "batch_import", "single_import", "add"] = "auto"
    history: bool = True
    history_fallback: UserField | None = None
    conflict: Literal["keep", "overwrite", "refuse"] = "keep"
    max_change_share: float = Field(0.3, gt=0, le=1)


class WorkflowStart(Closed):
    """One line of `[[workflows.start]]`: deals in this stage get this template, once per stage entry."""

    pipeline: str | int
    stage: str
    template: str | int
    trace: UserField | None = None
    parameters: dict[str, str | int | float | bool | list[str | int]] = {}


class WorkflowsConfig(Closed):
    start: tuple[WorkflowStart, ...] = ()


class DaemonConfig(Closed):
    host: str = "127.0.0.1"
    port: int = Field(8080, ge=0, le=65535)
    public_url: str | None = None
    admin_password_file: Path | None = None


class SweepConfig(Closed):
    every: Duration = "10m"
    deleted_every: Duration = "6h"


class GroupsConfig(Closed):
    """Client groups: whose companies get one, and what it is called. Texts may name {company.title}, {company.id}."""

    company_types: tuple[str, ...] = ("CUSTOMER",)
    name: str = "Клиент: {company.title}"
    description: str = "Задачи, файлы и переписка: {company.title}"
    members: tuple[str | int, ...] = ()

    @field_validator("name", "description")
    @classmethod
    def _names_what_a_company_has(cls, value: str) -> str:
        if unknown := set(re.findall(r"\{[^}]*\}", value)) - {"{company.title}", "{company.id}"}:
            raise ValueError(f"knows {{company.title}} and {{company.id}}, not {', '.join(sorted(unknown))}")
        return value

    @field_validator("name")
    @classmethod
    def _tells_companies_apart(cls, value: str) -> str:
        if "{company." not in value:
            raise ValueError("must name {company.title} or {company.id}: groups are told apart by it")
        return value


class StageNorm(Closed):
    pipeline: str | int
    stage: str
    days: float = Field(ge=0)
    calendar: Literal["working", "calendar"] = "working"
    field: UserField | None = None
    valid_from: date | None = None


class StagesConfig(Closed):
    norm: tuple[StageNorm, ...] = ()


class RecountConfig(Closed):
    cron: Schedule = "0 2 * * *"
    country: str = "RU"
    max_duration: Duration = "4h"


class ReportDelivery(Closed):
    report: Literal["delays", "responsible", "stages"]
    format: Literal["csv", "xlsx", "html", "json"] = "xlsx"
    to: str = Field(pattern=r"^(folder:.+|disk:\d+)$")
    notify: tuple[str | int, ...] = ()

    @model_validator(mode="after")
    def _people_can_open_it(self) -> ReportDelivery:
        if self.notify and not self.to.startswith("disk:"):
            raise ValueError('notify needs to = "disk:<folder id>": nobody opens a folder of this machine')
        return self


class ReportsConfig(Closed):
    language: Literal["ru", "en"] = "ru"
    deliver: tuple[ReportDelivery, ...] = ()


class Config(Closed):
    """The whole file. `base_dir` is the config file's folder; every relative path starts there."""

    portal: PortalConfig | None = None
    portals: dict[PortalName, PortalConfig] = {}
    limits: LimitsConfig = LimitsConfig()
    store: StoreConfig = StoreConfig()
    paths: PathsConfig = PathsConfig()
    imports: ImportConfig = Field(ImportConfig(), alias="import")
    daemon: DaemonConfig = DaemonConfig()
    sweep: SweepConfig = SweepConfig()
    workflows: WorkflowsConfig = WorkflowsConfig()
    groups: GroupsConfig = GroupsConfig()
    stages: StagesConfig = StagesConfig()
    recount: RecountConfig = RecountConfig()
    reports: ReportsConfig = ReportsConfig()
    rules: dict[str, dict[str, Any]] = {}
    base_dir: Path = Field(Path(), exclude=True)

    @model_validator(mode="after")
    def _one_way_to_name_portals(self) -> Config:
        if self.portal is not None and "main" in self.portals:
            raise ValueError('[portal] is stored as "main", so [portals.main] cannot stand beside it')
        return self

    def resolve(self, path: Path) -> Path:
        return path if path.is_absolute() else self.base_dir / path

    def all_portals(self) -> dict[str, PortalConfig]:
        """Every configured portal by its name; `[portal]` is `main`. Raises ConfigError when there is none."""
        self.portal_named(None if len(self.portals) + (self.portal is not None) < 2 else next(iter(self.portals)))
        return {**({"main": self.portal} if self.portal is not None else {}), **self.portals}

    def portal_named(self, name: str | None) -> tuple[str, PortalConfig]:
        """Return (name, portal). Raises ConfigError when there is none of that name, or several and none named."""
        known = dict(self.portals)
        if self.portal is not None:
            known["main"] = self.portal
        if not known:
            raise ConfigError(
                "The configuration names no portal.",
                ["add [portal] with webhook, or set B24SYNC_PORTAL__WEBHOOK; or run `b24sync init DIR`"],
            )
        if name is None:
            if len(known) == 1:
                return next(iter(known.items()))
            if "main" in known:
                return "main", known["main"]
            raise ConfigError("Several portals are configured.", [f"choose one with --portal: {', '.join(known)}"])
        if name not in known:
            raise ConfigError(f"There is no portal {name!r}.", [f"the configuration knows: {', '.join(known)}"])
        return name, known[name]

    def webhook_of(self, name: str | None) -> str:
        """The incoming webhook URL with a trailing slash. Raises ConfigError when absent or unreadable."""
        portal_name, portal = self.portal_named(name)
        url = self._webhook(portal_name, portal.webhook, portal.webhook_file, "webhook_file")
        if url is None:
            raise ConfigError(
                f"Portal {portal_name!r} has no webhook.",
                ["set webhook or webhook_file under its table, or B24SYNC_PORTAL__WEBHOOK"],
            )
        return url

    def role_webhook_of(self, name: str | None) -> str | None:
        """The webhook of a user whose role `doctor --roles` proves; None where none is configured."""
        portal_name, portal = self.portal_named(name)
        return self._webhook(portal_name, portal.role_webhook, portal.role_webhook_file, "role_webhook_file")

    def _webhook(self, portal_name: str, secret: SecretStr | None, file: Path | None, key: str) -> str | None:
        if secret is not None:
            return secret.get_secret_value().rstrip("/") + "/"
        if file is None:
            return None
        path = self.resolve(file)
        try:
            url = _text_of(path)
            check_webhook_url(url)
        except ValueError as error:
            raise ConfigError(f"{key} of portal {portal_name!r}: {path}: {error}") from None
        return url.rstrip("/") + "/"

    def client_secret_of(self, name: str) -> str:
        """The client secret of a portal's application. Raises ConfigError when absent or unreadable."""
        _, portal = self.portal_named(name)
        oauth = portal.oauth
        if oauth is not None and oauth.client_secret is not None:
            return oauth.client_secret.get_secret_value()
        if oauth is None or oauth.client_secret_file is None:
            raise ConfigError(f"The application of portal {name!r} has no client_secret.", ["set it, or its file"])
        path = self.resolve(oauth.client_secret_file)
        try:
            return _text_of(path)
        except ValueError as error:
            raise ConfigError(f"client_secret_file of portal {name!r}: {path}: {error}") from None

    def store_url(self) -> str:
        """The store's URL with an SQLite path made absolute from the config file's folder."""
        prefix = "sqlite:///"
        url = self.store.url
        if not url.startswith(prefix):
            return url
        return prefix + str(self.resolve(Path(url.removeprefix(prefix))))


def _text_of(path: Path) -> str:
    """A file's text without a byte order mark and blank ends. Raises ValueError that says why not."""
    try:
        return path.read_text(encoding="utf-8-sig").strip()
    except OSError as error:
        raise ValueError(f"cannot be read: {error.strerror}") from error
    except UnicodeDecodeError:
        raise ValueError("cannot be read: it is no text in UTF-8; save it as UTF-8") from None


def _environment() -> dict[str, Any]:
    """Tables from the environment (B24SYNC_PORTAL__WEBHOOK, B24SYNC_STORE__URL, ...), by pydantic-settings.

    Raises ConfigError that names variables, never their values.
    """
    if not environment_keys():
        return {}
    # A tenth of a second of imports, for the few who use the environment.
    from b24sync.environment import read_tables

    return read_tables()


def load_config(path: Path) -> Config:
    """Read and check `path`. Raises ConfigError that lists every wrong key, without values."""
    try:
        raw = tomllib.loads(_text_of(path))
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path} is not valid TOML: {error}") from None
    except ValueError as error:
        if not isinstance(error.__cause__, FileNotFoundError):
            raise ConfigError(f"{path} {error}") from None
        raise ConfigError(
            f"There is no configuration at {path}.",
            [
                "b24sync init DIR makes a folder with one to start from; put the portal's webhook in",
                "or go to the folder that has one, or name it with --config FILE",
            ],
        ) from None
    return build_config(raw, path.resolve().parent)


def build_config(raw: Mapping[str, Any], base_dir: Path) -> Config:
    """Check a parsed file together with the environment. Raises ConfigError listing all mistakes."""
    merged: dict[str, Any] = dict(raw)
    if "base_dir" in merged or "imports" in merged:
        raise ConfigError("The configuration has mistakes:", ["base_dir / imports: unknown key"])
    for table, values in _environment().items():
        merged[table] = _overlay(merged.get(table), values)
    try:
        return Config.model_validate({**merged, "base_dir": base_dir})
    except ValidationError as error:
        raise ConfigError("The configuration has mistakes:", [_say(item) for item in error.errors()]) from None


def check_webhook_url(url: str) -> None:
    """Raise ValueError unless `url` is `https://host/rest/<user>/<secret>/` (http only on loopback)."""
    parts = urlsplit(url)
    pieces = [piece for piece in parts.path.split("/") if piece]
    shaped = len(pieces) == 3 and pieces[0] == "rest" and pieces[1].isdigit()
    if parts.scheme not in ("http", "https") or not parts.hostname or not shaped:
        raise ValueError("is not an incoming webhook: https://<portal>/rest/<user id>/<secret>/")
    if parts.scheme == "http" and not is_loopback(parts.hostname):
        raise ValueError("must be https: plain http is accepted on loopback only (the sandbox)")


def is_loopback(host: str) -> bool:
    return host in ("localhost", "::1") or host.startswith("127.")


def _overlay(base: Any, values: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(base) if isinstance(base, dict) else {}
    for key, value in values.items():
        merged[key] = _overlay(merged.get(key), value) if isinstance(value, dict) else value
    return merged


_FORMS = {
    # pydantic's kinds of error: what a person is told
    ("model_type", "dict_type"): "must be a table with keys of its own",
    ("list_type", "tuple_type"): "must be a list, in square brackets",
    ("string_type",): "must be a text, in quotes",
    ("bool_type", "bool_parsing"): "must be true or false",
    ("int_type", "int_parsing", "int_from_float"): "must be a whole number",
    ("float_type", "float_parsing"): "must be a number",
}


def _say(item: Any) -> str:
    place = ["import" if part == "imports" else str(part) for part in item["loc"]]
    where = ".".join(place) or "(file)"
    if item["type"] == "extra_forbidden":
        from difflib import get_close_matches

        close = get_close_matches(place[-1], _keys_of(item["loc"][:-1]), n=1)
        return f"{where}: unknown key" + (f"; did you mean {close[0]}?" if close else "")
    if item["type"] == "missing":
        return f"{where}: missing"
    return f"{where}: {in_words_of_toml(item['type'], item['msg'])}"


def in_words_of_toml(kind: str, said: str) -> str:
    """What is wrong with a value: pydantic's sentence, where it speaks of Python's types one that does not."""
    return next((own for kinds, own in _FORMS.items() if kind in kinds), said.removeprefix("Value error, "))


def _keys_of(place: Sequence[str | int]) -> list[str]:
    """The keys of the table at a place of the file."""
    model: type[BaseModel] = Config
    for part in place:
        known = {field.alias or name: field for name, field in model.model_fields.items()}
        if part in known:
            model = next(_models_in(known[str(part)].annotation), model)
    return [field.alias or name for name, field in model.model_fields.items() if name != "base_dir"]


def _models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for inner in get_args(annotation):
        yield from _models_in(inner)


def environment_keys() -> list[str]:
    """Names of B24SYNC_ variables present, for diagnostics (names only)."""
    return sorted(name for name in os.environ if name.startswith("B24SYNC_"))
