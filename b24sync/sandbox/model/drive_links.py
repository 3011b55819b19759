"""Links by which files leave and reach the Disk outside of methods: `/rest/download.json` and `/rest/upload.json`.

Docs: api-reference/disk/folder/disk-folder-upload-file.md (uploadUrl), api-reference/disk/file/disk-file-get.md.
The token in a link must be used as it is (settings/how-to-call-rest-api/general-principles.md).
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import quote

from .disk import ALIVE
from .records import Row

if TYPE_CHECKING:
    from ..portal import Portal


class NameTaken(Exception):
    """There is a file of this name in the folder."""


@dataclass(frozen=True, slots=True)
class Link:
    """What a token opens: a file of the Disk (download), of a CRM field (crm), or an upload by somebody."""

    kind: str
    object_id: int
    user_id: int = 0
    unique: bool = False


def download_url(portal: Portal, object_id: int) -> str:
    """A link to the body of a file, one per file as long as the portal lives."""
    tokens = portal.disk.tokens
    if object_id not in tokens:
        tokens[object_id] = _new(portal, Link("download", object_id))
    return _url(portal, "download", tokens[object_id])


def crm_file_url(portal: Portal, file_id: int) -> str:
    """A link to the body of a file that lies in a field of an item."""
    tokens = portal.disk.tokens
    if -file_id not in tokens:
        tokens[-file_id] = _new(portal, Link("crm", file_id))
    return _url(portal, "download", tokens[-file_id])


def upload_url(portal: Portal, folder_id: int, user_id: int, *, unique: bool) -> str:
    """An address for one POST."""
    return _url(portal, "upload", _new(portal, Link("upload", folder_id, user_id, unique)))


def _new(portal: Portal, link: Link) -> str:
    token = f"{'crm' if link.kind == 'crm' else 'disk'}|{secrets.token_urlsafe(24)}"
    portal.links[token] = link
    return token


def _url(portal: Portal, name: str, token: str) -> str:
    return f"{portal.base}/rest/{name}.json?token={quote(token, safe='')}"


def body_of(portal: Portal, token: str) -> tuple[str, bytes] | None:
    """Name and body behind a download link; None for a wrong token or a file that is gone."""
    link = portal.links.get(token)
    if link is not None and link.kind == "crm":
        return portal.files.get(link.object_id)
    row = portal.disk.objects.get(link.object_id) if link is not None and link.kind == "download" else None
    if row is None or row["DELETED_TYPE"] != ALIVE:
        return None
    return row["NAME"], portal.disk.bodies[row["FILE_ID"]]


def receive(portal: Portal, token: str, name: str, body: bytes) -> Row | None:
    """A file posted to an upload link; the link is good once. Raises NameTaken."""
    link = portal.links.get(token)
    parent = portal.disk.objects.get(link.object_id) if link is not None and link.kind == "upload" else None
    if link is None or parent is None:
        return None
    row = save_file(portal, parent, name, body, link.user_id, unique=link.unique)
    del portal.links[token]
    return row


def save_file(portal: Portal, parent: Row, name: str, body: bytes, user_id: int, *, unique: bool) -> Row:
    """Put a file into a folder; a taken name gets a number where it may: `file (1).docx`. Raises NameTaken."""
    taken = portal.disk.named(parent["ID"], name) is not None
    if taken and not unique:
        raise NameTaken(name)
    if taken:
        stem, dot, ending = name.rpartition(".")
        number = 1
        while portal.disk.named(parent["ID"], f"{stem} ({number}){dot}{ending}") is not None:
            number += 1
        name = f"{stem} ({number}){dot}{ending}"
    return portal.disk.add_file(parent, name, body, user_id, int(portal.time()))
