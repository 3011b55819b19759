"""Golden files: what an importer makes of a sample, kept beside it and compared by a test.

`deals.csv` has `deals.csv.expected.json`; `portal.json` in the same folder says what the portal calls things, where the
importer asks for it: {"host", "titles", "types", "values", "dictionaries", "multiple"}.
"""

from __future__ import annotations

import difflib
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from b24sync.importing.draft import Draft, Ref, RowError
from b24sync.importing.extract import Extractor, SeenKeys, read_rows
from b24sync.importing.importer import Importer, PortalWords
from b24sync.importing.source import open_source
from b24sync.importing.values import UserFieldType

SUFFIX = ".expected.json"


def differences(importer: Importer, sample: Path, *, zone: str = "Europe/Moscow", overwrite: bool = False) -> list[str]:
    """Lines in which the drafts of `sample` differ from its golden file; none = as expected.

    `overwrite` writes the golden file instead. Raises: ConfigError, SourceError.
    """
    golden = sample.with_name(sample.name + SUFFIX)
    text = json.dumps(extracted(importer, sample, zone=zone), ensure_ascii=False, indent=1) + "\n"
    if overwrite:
        golden.write_text(text, encoding="utf-8")
        return []
    if not golden.exists():
        return [f"{golden} does not exist: overwrite it once, and read it"]
    kept = golden.read_text(encoding="utf-8")
    return list(difflib.unified_diff(kept.splitlines(), text.splitlines(), golden.name, sample.name, lineterm="", n=1))


def extracted(importer: Importer, sample: Path, *, zone: str = "Europe/Moscow") -> dict[str, Any]:
    """Entity, originator and every row's draft or error, as JSON has it. No request is made."""
    portal = _portal_beside(sample)
    with open_source(sample, sheet=importer.sheet, encoding=importer.encoding, separator=importer.delimiter) as source:
        mapping = importer.mapping(source, portal)
        left_over = importer.left_over(source, portal)
        types = {
            code: UserFieldType(type_id, code in portal.multiple)
            for code, type_id in portal.types.items()
            if code.startswith("UF_")
        }
        extractor = Extractor(mapping, source.header, portal_tz=ZoneInfo(zone), uf_types=types or None)
        rows = [_told(result) for result in read_rows(source, extractor, SeenKeys(), importer)]
    return {"entity": mapping.entity, "originator": mapping.originator, "left_over": left_over, "rows": rows}


def _portal_beside(sample: Path) -> PortalWords:
    path = sample.with_name("portal.json")
    if not path.exists():
        return PortalWords()
    raw = json.loads(path.read_text(encoding="utf-8"))
    for name in ("values", "dictionaries"):
        raw[name] = {key: frozenset(texts) for key, texts in raw.get(name, {}).items()}
    return PortalWords(**{**raw, "multiple": frozenset(raw.get("multiple", ()))})


def _told(result: Draft | RowError) -> dict[str, Any]:
    if isinstance(result, RowError):
        return {
            "error": result.code,
            **{name: value for name, value in asdict(result).items() if name not in ("code", "readable")},
        }
    return {
        "line": result.line,
        "key": result.key,
        "fields": {name: _plain(one) for name, one in result.fields.items()},
    }


def _plain(value: Any) -> Any:
    if isinstance(value, Ref):
        return {name: said for name, said in asdict(value).items() if said and name not in ("field", "column")}
    return [_plain(item) for item in value] if isinstance(value, list) else value
