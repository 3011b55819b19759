"""Which importer reads a file, and what the file's columns become in this portal."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from b24sync.importing import fields
from b24sync.importing.importer import Importer, PortalWords
from b24sync.importing.loading import Loaded, claimant, load_importers
from b24sync.importing.mapping import Mapping, load_mapping
from b24sync.importing.source import Source, open_source
from b24sync.portal.directory import Directory, read_directory
from b24sync.transport.client import PortalClient


@dataclass(frozen=True, slots=True)
class ChosenSource:
    """An opened file, its importer and mapping; `left_over` are titles that hold values and will not be imported.

    `problems` are importer files that could not be loaded.
    """

    source: Source
    importer: Importer
    mapping: Mapping
    left_over: Sequence[str] = ()
    problems: Sequence[str] = ()


@contextmanager
def choose(
    client: PortalClient,
    folders: Sequence[Path],
    file: Path,
    *,
    importer: str | None,
    mapping: Path | None,
    sheet: str | None,
) -> Iterator[ChosenSource]:
    """Open `file` with the mapping or importer that was named, or the one that knows it.

    Cost: no request, or one for an importer that asks for the portal's words. Raises: ConfigError, SourceError,
    PortalRefused, RetryLater.
    """
    if mapping is not None:
        checked = load_mapping(mapping)
        with open_source(file, sheet=sheet) as source:
            yield ChosenSource(source, Importer(), checked)
        return
    loaded = load_importers(folders)
    named = loaded.named(importer) if importer else []
    with _opened(file, named, sheet) as source:
        chosen = _chosen(source, named, loaded)
        words = _words(client, chosen, source)
        read = chosen.mapping(source, words)
        yield ChosenSource(source, chosen, read, chosen.left_over(source, words), loaded.problems)


def _opened(file: Path, named: Sequence[Importer], sheet: str | None) -> Source:
    """The file, opened as the one named importer says where the file does not tell by itself."""
    only = named[0] if len(named) == 1 else Importer()
    return open_source(file, sheet=sheet or only.sheet, encoding=only.encoding, separator=only.delimiter)


def _chosen(source: Source, named: Sequence[Importer], loaded: Loaded) -> Importer:
    if len(named) == 1:
        return named[0]
    return claimant(source, named or loaded.all(), () if named else loaded.problems)


def _words(client: PortalClient, importer: Importer, source: Source) -> PortalWords:
    number = fields.entity_type_id(importer.entity_of(source)) if importer.asks_portal else None
    if number is None:
        return PortalWords(client.host)
    return portal_words(read_directory(client, number, users=False), client.host)


def portal_words(directory: Directory, host: str) -> PortalWords:
    """What the portal calls fields and their values."""
    known = directory.fields
    return PortalWords(
        host,
        titles={code: info.title for code, info in known.items()},
        types={code: info.type for code, info in known.items()},
        values={code: frozenset(info.items.values()) for code, info in known.items() if info.items},
        dictionaries={name: frozenset(rows.values()) for name, rows in directory.dictionaries.items()},
        multiple=frozenset(code for code, info in known.items() if info.multiple),
    )
