"""Files that rows name by their local path: checked before the first write, read when they are sent.

The portal takes ["name.pdf", "<base64>"]; any other wrapper leaves the field empty and is called a success
(files/how-to-upload-files.md).
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from b24sync.errors import ConfigError

MAX_FILE_BYTES = 50_000_000
"""The portal takes 2 GB, but a request has 60 s and base64 makes four bytes of three (files/how-to-upload-files.md)."""


def sendable_file(folder: Path | None, text: str) -> Path:
    """The file that `text` names below `folder`, that of the spreadsheet. Raises: ValueError with the reason.

    A spreadsheet may come from anybody: it must not name files elsewhere on this machine.
    """
    if folder is None:
        raise ValueError("cannot be read here: this source has no folder of its own")
    root = folder.resolve()
    path = (root / text).resolve()
    if not path.is_relative_to(root):
        raise ValueError(f"is not below the spreadsheet's folder {root}")
    if not path.is_file():
        raise ValueError("does not exist" if not path.exists() else "is no file")
    size = path.stat().st_size
    if size > MAX_FILE_BYTES:
        raise ValueError(f"has {size / 1e6:,.0f} MB; at most {MAX_FILE_BYTES / 1e6:,.0f} are sent")
    return path


def file_bytes(fields: Mapping[str, Any]) -> int:
    """Bytes of the files that a row's fields name."""
    paths = [Path(item["file"]) for value in fields.values() for item in _files(value)]
    return sum(path.stat().st_size for path in paths if path.exists())


def holds_files(fields: Mapping[str, Any]) -> bool:
    """Whether a row names files at all."""
    return any(_files(value) for value in fields.values() if type(value) is dict or type(value) is list)


def with_contents(fields: Mapping[str, Any]) -> Mapping[str, Any]:
    """The fields with each file as the portal takes it. Raises: ConfigError, where a file went away meanwhile."""
    if not holds_files(fields):
        return fields
    return {name: _contents(value) if _files(value) else value for name, value in fields.items()}


def _files(value: Any) -> list[dict[str, str]]:
    if type(value) is dict and value.keys() == {"file"}:
        return [value]
    if type(value) is list and value and type(value[0]) is dict and value[0].keys() == {"file"}:
        return value
    return []


def _contents(value: Any) -> Any:
    if isinstance(value, list):
        return [_contents(item) for item in value]
    path = Path(value["file"])
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ConfigError(f"{path} went away during the import: put it back and run the same command again") from error
    return [path.name, base64.b64encode(content).decode("ascii")]
