"""Names in drafts -> ids of the portal. What does not resolve is a miss, told with its nearest valid names.

Users, pipelines, stages, enumerations and dictionaries resolve against the directory read beforehand;
companies and contacts stay links until all of a file's are known and can be looked up together.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

from b24sync.errors import ConfigError
from b24sync.importing.draft import Draft, Ref, RowError
from b24sync.importing.fields import ADDRESS, ADDRESS_KINDS, LINKS, MULTIFIELD_TYPES, Field, Kind, find_field
from b24sync.importing.files import sendable_file
from b24sync.importing.mapping import Mapping
from b24sync.importing.titles import look_alike
from b24sync.importing.values import UserFieldType
from b24sync.portal.directory import Directory, FieldInfo, nearest, normal
from b24sync.portal.pairs import MIXED

UNRESOLVED = "UNRESOLVED"
FEW = 8
"""So many names are all told, where none is near."""
AUTHORS = frozenset({"created_by", "updated_by", "moved_by"})

_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), check_circular=False).encode


class Miss(Exception):
    """A name that the portal does not know, or knows twice."""

    def __init__(self, ref: Ref, reason: str, known: Iterable[str] = ()) -> None:
        super().__init__(reason)
        self.ref = ref
        self.reason = reason
        known = list(known)
        self.nearest = nearest(ref.value, known)
        self.told = self.nearest or (known if len(known) <= FEW else [])

    def at(self, ref: Ref) -> Miss:
        """The same name in another column or row; what is near is not looked for again."""
        again = Miss(ref, self.reason)
        again.nearest, again.told = self.nearest, self.told
        return again

    def words(self) -> str:
        hint = f"; {'nearest:' if self.nearest else 'there is'} {', '.join(self.told)}" if self.told else ""
        hint += look_alike(self.ref.value, self.nearest[0]) if self.nearest else ""
        return f'column "{self.ref.column}": {self.ref.kind} "{self.ref.value}" {self.reason}{hint}'


@dataclass(frozen=True, slots=True)
class Link:
    """A company or contact that a row points at, by what `match` says `value` is."""

    api: str
    entity: str
    match: str
    value: str
    create: bool
    optional: bool
    column: str
    multiple: bool
    default: str | None = None

    @property
    def packed(self) -> list[Any]:
        """Its parts, for JSON: `Link(*packed)` is the same link."""
        return [getattr(self, name) for name in self.__slots__]

    @property
    def fallback(self) -> Link | None:
        """What to point at where the value itself leads nowhere."""
        return None if self.default is None else replace(self, value=self.default, default=None, create=False)


@dataclass(frozen=True, slots=True)
class Prepared:
    """A row whose names are ids, except for its links."""

    line: int
    key: str
    fields: dict[str, Any]
    links: list[Link]

    def to_json(self) -> str:
        links = [link.packed for link in self.links]
        body = [self.fields, links] if links else [self.fields]
        return _encode(body)


def fields_from_json(text: str) -> tuple[dict[str, Any], list[Link]]:
    """What `Prepared.to_json` wrote: fields and links."""
    body = json.loads(text)
    return body[0], [Link(*parts) for parts in body[1]] if len(body) > 1 else []


@dataclass(slots=True)
class MissReport:
    """Misses of a whole file, each name once with its first line and how many rows it costs."""

    by_name: dict[tuple[str, str, str], list[Any]] = field(default_factory=dict)

    def add(self, line: int, miss: Miss) -> None:
        known = self.by_name.setdefault((miss.ref.column, miss.ref.value, miss.reason), [line, 0, miss.words()])
        known[1] += 1

    def lines(self, most: int = 50) -> list[str]:
        """One sentence per name, the dearest first."""
        rows = sorted(self.by_name.values(), key=lambda row: (-row[1], row[0]))
        said = [f"line {line}{f' and {count - 1} more' if count > 1 else ''}: {text}" for line, count, text in rows]
        return said[:most] + ([f"... and {len(said) - most} more names"] if len(said) > most else [])


class Resolver:
    """Prepares drafts of one mapping against one portal's directory."""

    def __init__(
        self, mapping: Mapping, directory: Directory, *, multifields_as: str = "import", folder: Path | None = None
    ) -> None:
        self._folder = folder
        self._mapping = mapping
        self._directory = directory
        self._optional = mapping.missing.values == "empty"
        self._classic_multifields = multifields_as == "import"
        self._memo: dict[tuple[str, str, str | None, Any], Any] = {}
        self._fields = {name: find_field(mapping.entity, name) for name in mapping.fields_used}
        self._titles = {column.field: title for title, column in mapping.columns.items()}
        self.misses = MissReport()

    def with_misses(self, error: RowError) -> RowError:
        """A row that cannot be written anyway, with the misses of what could be read of it."""
        missed = self.prepare(Draft(error.line, error.key or "", error.readable))
        return replace(error, message=f"{error.message}; {missed.message}") if isinstance(missed, RowError) else error

    def prepare(self, draft: Draft) -> Prepared | RowError:
        """Resolve one draft. A row with misses becomes one RowError that names them all."""
        out: dict[str, Any] = {}
        links: list[Link] = []
        misses: list[Miss] = []
        pipeline_id: int | None = None
        if "pipeline" in draft.fields:
            try:
                pipeline_id = self._one(draft.fields["pipeline"], None)
            except Miss as miss:
                misses.append(miss)
        stage_scope = self._directory.default_pipeline_id if pipeline_id is None else pipeline_id
        for name, value in draft.fields.items():
            known = self._field(name)
            if known.kind in MULTIFIELD_TYPES:
                self._put_multifield(out, MULTIFIELD_TYPES[known.kind], value)
                continue
            if known.kind in ADDRESS_KINDS:
                out.setdefault(ADDRESS, {})[known.api] = value
                continue
            if type(value) is not Ref and not isinstance(value, list | dict):
                if (
                    known.kind is Kind.CURRENCY
                    and self._directory.currencies
                    and value not in self._directory.currencies
                ):
                    misses.append(
                        Miss(
                            Ref("currency", value, name, self._titles.get(name, f"[constants] {name}")),
                            "is not in the portal",
                            self._directory.currencies,
                        )
                    )
                out[known.api] = value
                continue
            try:
                if known.kind is Kind.USER_FIELD and _holds_files(value):
                    out[known.api] = self._files(name, value)
                elif name == "pipeline":
                    if pipeline_id is not None:
                        out[known.api] = pipeline_id
                elif known.kind in LINKS:
                    multiple = known.kind in (Kind.COMPANIES, Kind.CONTACTS) or known.api.endswith("Ids")
                    links.extend(self._links(known.api, multiple, value))
                elif isinstance(value, list):
                    ids = [self._one(item, pipeline_id) for item in value]
                    out[known.api] = [item for item in ids if item is not None]
                elif type(value) is Ref and value.match == "any_pipeline" and pipeline_id is None:
                    out["categoryId"], out[known.api] = self._stage_anywhere(value)
                elif (found := self._one(value, stage_scope)) is not None:
                    out[known.api] = found
            except Miss as miss:
                misses.append(miss)
        if misses:
            for found in misses:
                self.misses.add(draft.line, found)
            first = misses[0].ref
            said = "; ".join(found.words() for found in misses)
            return RowError(draft.line, draft.key, first.column, first.value, UNRESOLVED, said)
        return Prepared(draft.line, draft.key, out, links)

    def _field(self, name: str) -> Field:
        """A mapping's field, or one that an importer added. Raises ConfigError for a name that is none."""
        known = self._fields.get(name)
        if known is None:
            known = self._fields[name] = find_field(self._mapping.entity, name)
        if known is None:
            raise ConfigError(f'the importer fills "{name}", which is no field of {self._mapping.entity}')
        return known

    def _files(self, name: str, value: Any) -> Any:
        """The same with absolute paths; a file that cannot be sent is a miss. Raises Miss."""
        found = []
        for item in value if isinstance(value, list) else [value]:
            try:
                found.append({"file": str(sendable_file(self._folder, item["file"]))})
            except ValueError as error:
                raise Miss(Ref("file", item["file"], name, name), str(error)) from error
        return found if isinstance(value, list) else found[0]

    def _put_multifield(self, out: dict[str, Any], type_id: str, values: Any) -> None:
        """crm.item.import documents PHONE: [{VALUE, VALUE_TYPE}] (crm-item-import.md); crm.item.add wants `fm`."""
        for item in values if isinstance(values, list) else [values]:
            if self._classic_multifields:
                out.setdefault(type_id, []).append({"VALUE": item["value"], "VALUE_TYPE": item["valueType"]})
            else:
                out.setdefault("fm", []).append(item)

    def _links(self, api: str, multiple: bool, value: Any) -> list[Link]:
        refs = value if isinstance(value, list) else [value]
        return [
            Link(
                api,
                ref.kind,
                ref.match or "any",
                ref.value,
                ref.create,
                self._optional if ref.missing is None else ref.missing == "empty",
                ref.column,
                multiple,
                ref.default,
            )
            for ref in refs
        ]

    def _one(self, value: Any, pipeline_id: int | None) -> Any:
        """An id for one Ref; the value itself where it is none. None = leave the field empty. Raises Miss."""
        if type(value) is not Ref:
            return value
        scope = pipeline_id if value.kind == "stage" else value.dictionary or value.field
        memo = (value.kind, value.value, value.default, scope)
        if memo not in self._memo:
            self._memo[memo] = self._resolve(value, pipeline_id)
        found = self._memo[memo]
        if isinstance(found, Miss):
            if value.missing == "empty" or (value.missing is None and self._optional):
                return None
            # The same name may stand in another column: the message names the one at hand.
            raise found.at(value)
        return found

    def _resolve(self, ref: Ref, pipeline_id: int | None) -> Any:
        """The id, or the Miss itself to remember."""
        resolvers: dict[str, Callable[[Ref, int | None], Any]] = {
            "user": self._user,
            "pipeline": self._pipeline,
            "stage": self._stage,
            "enumeration": self._enumeration,
            "status": self._status,
        }
        try:
            return resolvers[ref.kind](ref, pipeline_id)
        except Miss as miss:
            if ref.default is None or ref.default == ref.value:
                return miss
        fallback = Ref(ref.kind, ref.default, ref.field, ref.column, None, dictionary=ref.dictionary)
        try:
            return resolvers[ref.kind](fallback, pipeline_id)
        except Miss as miss:
            return miss

    def _user(self, ref: Ref, _: int | None) -> int:
        found = self._directory.users_by(ref.value)
        active = [user for user in found if user.active]
        if len(active) == 1:
            return active[0].id
        if len(active) > 1:
            raise Miss(ref, f"means {len(active)} people ({', '.join(user.email for user in active)})")
        if len(found) == 1 and self._may_be_dismissed(ref):
            return found[0].id
        if found:
            raise Miss(ref, "is dismissed: give the column a default")
        users = self._directory.users
        raise Miss(ref, "is not known to the portal", [user.name for user in users] + [user.email for user in users])

    def _may_be_dismissed(self, ref: Ref) -> bool:
        """An author who left is an author still; and an export tells what is, not what should be."""
        return ref.field in AUTHORS or self._mapping.originator.startswith(MIXED)

    def _pipeline(self, ref: Ref, _: int | None) -> int:
        by_name = _named(ref, "pipelines", [(pipeline.id, pipeline.name) for pipeline in self._directory.pipelines])
        pipeline = self._directory.pipeline(ref.value)
        if by_name is None and pipeline is None:
            raise Miss(ref, "does not exist", [pipeline.name for pipeline in self._directory.pipelines])
        return pipeline.id if by_name is None and pipeline is not None else int(by_name or 0)

    def _stage(self, ref: Ref, pipeline_id: int | None) -> str:
        own = [(stage.status_id, stage.name) for stage in self._directory.stages_of(pipeline_id or 0)]
        by_name = _named(ref, "stages", own)
        if by_name is not None:
            return by_name
        stage = self._directory.stage(ref.value, pipeline_id or 0)
        if stage is None:
            names = [stage.name for stage in self._directory.stages_of(pipeline_id or 0)]
            title = next((p.name for p in self._directory.pipelines if p.id == (pipeline_id or 0)), "")
            raise Miss(ref, f'is not in pipeline "{title}"' if title else "does not exist", names)
        return stage.status_id

    def _stage_anywhere(self, ref: Ref) -> tuple[int, str]:
        """(pipeline, stage) of a name that one pipeline alone has, or else the main one. Raises Miss."""
        pipelines = [
            pipeline for pipeline in self._directory.pipelines if self._directory.stage(ref.value, pipeline.id)
        ]
        if len(pipelines) > 1:
            pipelines = [pipeline for pipeline in pipelines if pipeline.id == 0] or pipelines
        if len(pipelines) != 1:
            names = [stage.name for stage in self._directory.stages]
            where = ", ".join(pipeline.name for pipeline in pipelines)
            raise Miss(ref, f"is in several pipelines ({where})" if where else "is in no pipeline", names)
        return pipelines[0].id, self._stage(ref, pipelines[0].id)

    def _enumeration(self, ref: Ref, _: int | None) -> int:
        items = self._directory.fields[ref.field].items
        by_name = _named(ref, "elements", list(items.items()))
        if by_name is not None:
            return by_name
        if ref.value.isdigit() and int(ref.value) in items:
            return int(ref.value)
        raise Miss(ref, f"is not in the list of {ref.field}", items.values())

    def _status(self, ref: Ref, _: int | None) -> str:
        rows = self._directory.dictionaries.get(ref.dictionary or "", {})
        by_name = _named(ref, "entries", list(rows.items()))
        if by_name is not None:
            return by_name
        if ref.value in rows:
            return ref.value
        raise Miss(ref, f"is not in the dictionary {ref.dictionary}", rows.values())


Id = TypeVar("Id", int, str)


def _named(ref: Ref, what: str, known: Sequence[tuple[Id, str]]) -> Id | None:
    """The id of the only one called so; None where there is none. Raises Miss where several are, told by their ids."""
    wanted = normal(ref.value)
    found = [(one, name) for one, name in known if normal(name) == wanted]
    exact = [(one, name) for one, name in found if name == ref.value]
    found = exact if len(exact) == 1 else found
    if len(found) > 1 and ref.value not in {str(one) for one, _ in known}:
        raise Miss(ref, f"means {len(found)} {what} (ids {', '.join(str(one) for one, _ in found)}): give the id")
    return found[0][0] if len(found) == 1 else None


def _holds_files(value: Any) -> bool:
    first = value[0] if isinstance(value, list) and value else value
    return isinstance(first, dict) and "file" in first


def user_field_types(directory: Directory) -> dict[str, UserFieldType]:
    """The portal's user fields as the extractor wants them."""
    return {
        code: UserFieldType(info.type, info.multiple, info.settings.get("ENTITY_TYPE"), _decimals(info))
        for code, info in directory.fields.items()
        if code.startswith("UF_")
    }


def _decimals(info: FieldInfo) -> int | None:
    said = str(info.settings.get("PRECISION") or "") if info.type == "double" else ""
    return int(said) if said.isdigit() else None
