"""Companies and contacts that rows point at: found all together, made on request, attached when written."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from b24sync.errors import PortalRefused
from b24sync.importing.fields import entity_type_id
from b24sync.importing.resolve import Link
from b24sync.importing.ways import Row
from b24sync.portal.directory import nearest, normal
from b24sync.portal.items import (
    COMPANY,
    CONTACT,
    IDS_PER_COMMAND,
    Origin,
    find_by_origin,
    list_command,
    read_by_ids,
    read_pages,
)
from b24sync.portal.pages import items_of
from b24sync.store.ledger import DONE, Ledger
from b24sync.transport.client import PortalClient
from b24sync.transport.outcomes import Done, Refused
from b24sync.transport.protocol import Command

TYPE_IDS: Mapping[str, int] = {"company": COMPANY, "contact": CONTACT}
OWN_ORIGINATOR = "b24sync"
"""Originator of companies and contacts that no source file numbers: made because a row named them."""

NEAREST_CHARS, NEAREST_CHARS_OF_NAME = 4, 2
"""Of the longest word of a title, or the last name, that is not found: few enough to forgive a slip after them."""
NAMES = ("id", "title", "name", "lastName")

LedgerOf = Callable[[str, str], Ledger]
"""The ledger of an (entity, originator)."""

Target = tuple[str, str, str]
"""(entity, match, value) of a link, the value as compared."""


def target_of(link: Link) -> Target:
    value = normal(link.value) if link.match in ("any", "title", "email") else link.value
    return link.entity, link.match, value


def created_key(entity: str, value: str) -> str:
    """The key of a company or contact made on request (design 5)."""
    return f"{entity}:{normal(value)}"


@dataclass(slots=True)
class Links:
    """What is known of every target: an id, a reason why there is none, or that it has to be made."""

    ids: dict[Target, int] = field(default_factory=dict)
    misses: dict[Target, str] = field(default_factory=dict)
    to_create: dict[Target, str] = field(default_factory=dict)

    def problem(self, link: Link) -> str | None:
        """Why the link's row cannot be written; None where it can."""
        target = target_of(link)
        if self.id_of(link) is not None or target in self.to_create or link.optional:
            return None
        reason = self.misses.get(target, "is not in the portal")
        how = "" if link.match == "any" else f" ({link.match})"
        return f'column "{link.column}": {link.entity} "{link.value}"{how} {reason}'

    def id_of(self, link: Link) -> int | None:
        """The id that the link, or else its default, leads to; None where there is none (yet)."""
        found = self.ids.get(target_of(link))
        if found is None and link.fallback is not None and target_of(link) not in self.to_create:
            found = self.ids.get(target_of(link.fallback))
        return found

    def waits(self, link: Link) -> bool:
        """Whether the link leads to something that is still to be made."""
        return self.id_of(link) is None and target_of(link) in self.to_create

    def attach(self, fields: dict[str, Any], links: Sequence[Link]) -> dict[str, Any]:
        """The row's fields with the ids of its links; an optional link that is not known stays empty."""
        for link in links:
            found = self.id_of(link)
            if found is None:
                continue
            if link.multiple:
                fields.setdefault(link.api, []).append(found)
            else:
                fields[link.api] = found
        return fields

    def created_rows(self, entity: str) -> list[Row]:
        """Rows for the companies or contacts to be made."""
        rows = []
        for target, title in self.to_create.items():
            if target[0] != entity:
                continue
            key = created_key(entity, title)
            fields: dict[str, Any] = {"title": title} if entity == "company" else {"name": title}
            address = address_kind(title) if target[1] == "any" else target[1]
            if address in ("email", "phone"):
                fields[address.upper()] = [{"VALUE": title, "VALUE_TYPE": "WORK"}]
            origin = Origin(TYPE_IDS[entity], OWN_ORIGINATOR)
            rows.append(Row(key, {**fields, **origin.fields(key)}))
        return rows


def _type_id(entity: str) -> int:
    number = entity_type_id(entity)
    assert number is not None, entity  # the mapping's fields name no other entities
    return number


def find_links(client: PortalClient, ledger_of: LedgerOf, originator: str, links: Iterable[Link]) -> Links:
    """Look up every distinct target. Cost: one request per 2,500 by origin or id, per 2,500 titles, per 50 others.

    External ids first in the ledger, then in the portal; a title or an address that means several items is a miss.
    `any` is the first of external id, phone or e-mail, exact title that is known. What is not found is told with the
    nearest titles of the portal: one request more for the first 50.
    """
    wanted: dict[Target, Link] = {}
    for link in links:
        wanted.setdefault(target_of(link), link)
        if link.fallback is not None:
            wanted.setdefault(target_of(link.fallback), link.fallback)
    found = Links()
    for entity in dict.fromkeys(entity for entity, _, _ in wanted):
        for match in ("origin", "id", "title", "email", "phone", "any"):
            group = {target: link for target, link in wanted.items() if target[:2] == (entity, match)}
            if group:
                _FINDERS[match](client, ledger_of, originator, group, found)
    for target, link in wanted.items():
        if link.create and target not in found.ids and target not in found.misses:
            found.to_create[target] = link.value
    _tell_nearest(client, wanted, found)
    return found


def address_kind(text: str) -> str | None:
    """`email` or `phone` where a text looks like one."""
    if "@" in text and " " not in text.strip():
        return "email"
    digits = sum(char.isdigit() for char in text)
    return "phone" if digits >= 7 and not any(char.isalpha() for char in text) else None


def _by_any(
    client: PortalClient, ledger_of: LedgerOf, originator: str, group: Mapping[Target, Link], found: Links
) -> None:
    """External id, then crm.duplicate.findbycomm, then exact title; where one is ambiguous the next is not asked."""
    left = dict(group)
    for match in ("origin", "email", "phone", "title"):
        asked = {
            target_of(replace(link, match=match)): target
            for target, link in left.items()
            if match in ("origin", "title") or (address_kind(link.value) == match and target[0] in TYPE_IDS)
        }
        if not asked:
            continue
        known = Links()
        links = {one: replace(left[target], match=match) for one, target in asked.items()}
        _FINDERS[match](client, ledger_of, originator, links, known)
        for one, target in asked.items():
            if one in known.ids:
                found.ids[target] = known.ids[one]
            elif one in known.misses:
                found.misses[target] = known.misses[one]
            else:
                continue
            del left[target]


def _tell_nearest(client: PortalClient, wanted: Mapping[Target, Link], found: Links) -> None:
    """Give misses of titles the portal's nearest ones, found by their longest word."""
    lost = [
        target
        for target, link in wanted.items()
        if target[1] in ("any", "title")
        and not (link.optional or target in found.ids or target in found.misses or target in found.to_create)
    ][:IDS_PER_COMMAND]
    commands = {}
    for number, target in enumerate(lost):
        words = wanted[target].value.split() or [""]
        if target[0] == "contact":
            name, word = "lastName", words[-1][:NEAREST_CHARS_OF_NAME]
        else:
            name, word = "title", max(words, key=len)[:NEAREST_CHARS]
        commands[f"n{number:02d}"] = list_command(_type_id(target[0]), {f"%{name}": word}, NAMES)
    answers = client.read_all(commands, priority="interactive")
    for name, rows in ((name, items_of(one.result)) for name, one in answers.items() if isinstance(one, Done)):
        target = lost[int(name[1:])]
        known = [_title_of(target[0], row) for row in rows]
        close = nearest(wanted[target].value, known)
        if close:
            found.misses[target] = f"is not in the portal; nearest: {', '.join(close)}"


def _title_of(entity: str, row: Mapping[str, Any]) -> str:
    if entity != "contact":
        return str(row.get("title") or "")
    return f"{row.get('name') or ''} {row.get('lastName') or ''}".strip()


def _by_origin(
    client: PortalClient, ledger_of: LedgerOf, originator: str, group: Mapping[Target, Link], found: Links
) -> None:
    entity = next(iter(group))[0]
    keys = [target[2] for target in group]
    known = ledger_of(entity, originator).states(keys)
    for key, write in known.items():
        if write.state == DONE and write.portal_id:
            found.ids[(entity, "origin", key)] = int(write.portal_id)
    missing = [key for key in keys if (entity, "origin", key) not in found.ids]
    for key, ids in find_by_origin(client, Origin(_type_id(entity), originator), missing, "interactive").items():
        target = (entity, "origin", key)
        if len(ids) == 1:
            found.ids[target] = ids[0]
        else:
            found.misses[target] = f"stands {len(ids)} times in the portal (ids {', '.join(map(str, ids))})"


def _by_id(client: PortalClient, _: LedgerOf, __: str, group: Mapping[Target, Link], found: Links) -> None:
    entity = next(iter(group))[0]
    numbers = [int(target[2]) for target in group if target[2].isdigit()]
    rows = read_by_ids(client, _type_id(entity), numbers, [], "interactive")
    found.ids.update({(entity, "id", str(number)): number for number in rows})


def _by_title(client: PortalClient, ledger_of: LedgerOf, _: str, group: Mapping[Target, Link], found: Links) -> None:
    entity = next(iter(group))[0]
    own = {created_key(entity, link.value): target for target, link in group.items()}
    for key, write in ledger_of(entity, OWN_ORIGINATOR).states(list(own)).items():
        if write.state == DONE and write.portal_id:
            found.ids[own[key]] = int(write.portal_id)
    titles = [link.value for target, link in group.items() if target not in found.ids]
    commands = {f"t{index:04d}": command for index, command in enumerate(_title_commands(_type_id(entity), titles))}
    seen: dict[str, set[int]] = {}
    for rows in read_pages(client, commands, "interactive").values():
        for row in rows:
            seen.setdefault(normal(_title_of(entity, row)), set()).add(int(row["id"]))
    for target in group:
        ids = seen.get(target[2], set())
        if len(ids) == 1:
            found.ids[target] = next(iter(ids))
        elif ids:
            found.misses[target] = f"means {len(ids)} items (ids {', '.join(map(str, sorted(ids)))})"


def _title_commands(type_id: int, titles: Sequence[str]) -> Iterable[Command]:
    if type_id != CONTACT:
        # Half a page of titles a command, so that a page has room for a second item of the same title.
        half = IDS_PER_COMMAND // 2
        for start in range(0, len(titles), half):
            yield list_command(type_id, {"@title": list(titles[start : start + half])}, ["id", "title"])
        return
    for title in titles:
        name, _, last = " ".join(title.split()).partition(" ")
        filters = {"=name": name, "=lastName": last} if last else {"=name": name}
        yield list_command(CONTACT, filters, ["id", "name", "lastName"])


def _by_address(client: PortalClient, _: LedgerOf, __: str, group: Mapping[Target, Link], found: Links) -> None:
    """crm.duplicate.findbycomm names ids, not which value they belong to: one value a command."""
    entity, match, _ignored = next(iter(group))
    targets = list(group)
    commands = {
        f"c{index:05d}": Command(
            "crm.duplicate.findbycomm",
            {"type": match.upper(), "values": [group[target].value], "entity_type": entity.upper()},
        )
        for index, target in enumerate(targets)
    }
    for name, answer in client.read_all(commands, priority="interactive").items():
        if isinstance(answer, Refused):
            raise PortalRefused(commands[name].method, answer.code, answer.text)
        ids = answer.result.get(entity.upper(), []) if isinstance(answer.result, Mapping) else []
        target = targets[int(name[1:])]
        if len(ids) == 1:
            found.ids[target] = int(ids[0])
        elif ids:
            found.misses[target] = f"means {len(ids)} items (ids {', '.join(map(str, ids))})"


_FINDERS: Mapping[str, Callable[[PortalClient, LedgerOf, str, Mapping[Target, Link], Links], None]] = {
    "origin": _by_origin,
    "id": _by_id,
    "title": _by_title,
    "email": _by_address,
    "phone": _by_address,
    "any": _by_any,
}
