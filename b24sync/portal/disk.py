"""Files on the portal's Disk: looked for by name in a folder, uploaded, replaced by a new version.

Docs: api-reference/disk/folder/disk-folder-get-children.md, disk-folder-upload-file.md,
api-reference/disk/file/disk-file-upload-version.md
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from b24sync.portal.pages import items_of
from b24sync.transport.client import PortalClient

Sending = Callable[[], None]


@dataclass(frozen=True, slots=True)
class DiskFile:
    """`version` is another after every upload; `page` is where people open it (no credential in it)."""

    id: str
    version: str
    page: str


def find_file(client: PortalClient, folder_id: int, name: str) -> DiskFile | None:
    """The file of this name in a folder. Cost: one request. Raises PortalRefused for a folder that is not there."""
    answer = client.call("disk.folder.getchildren", {"id": folder_id, "filter": {"NAME": name}, "order": {"ID": "ASC"}})
    rows = [row for row in items_of(answer.result) if str(row.get("NAME")) == name and row.get("TYPE") == "file"]
    alive = [row for row in rows if str(row.get("DELETED_TYPE") or 0) == "0"]
    return _file(alive[0]) if alive else None


def upload_file(client: PortalClient, folder_id: int, name: str, content: bytes, sending: Sending) -> DiskFile:
    """Put a new file into a folder. Cost: one request."""
    params = {"id": folder_id, "data": {"NAME": name}, "fileContent": _content(name, content)}
    return _file(client.call("disk.folder.uploadfile", params, write=True, before_send=sending).result)


def upload_version(client: PortalClient, file_id: str, name: str, content: bytes, sending: Sending) -> DiskFile:
    """Replace a file's content: its id and its page stay. Cost: one request."""
    params = {"id": int(file_id), "fileContent": _content(name, content)}
    return _file(client.call("disk.file.uploadversion", params, write=True, before_send=sending).result)


def _content(name: str, content: bytes) -> list[str]:
    return [name, base64.b64encode(content).decode("ascii")]


def _file(row: Mapping[str, Any]) -> DiskFile:
    version = [str(row.get(key) or "") for key in ("GLOBAL_CONTENT_VERSION", "FILE_ID")]
    return DiskFile(str(row["ID"]), "/".join(version), str(row.get("DETAIL_URL") or ""))
