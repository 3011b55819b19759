"""Importers by path: the site's own folders first, then the bundled ones; and which of them a file belongs to.

A site's file of the same name replaces a bundled one. A broken file is reported, the others go on.
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType

from b24sync.bundled import bundled_folder
from b24sync.errors import ConfigError
from b24sync.importing.importer import Importer
from b24sync.importing.source import Source, SourceError


@dataclass(slots=True)
class Loaded:
    """Importers by the file they came from, and what is wrong with files that could not be loaded."""

    by_file: dict[str, list[Importer]] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)

    def all(self) -> list[Importer]:
        return [importer for found in self.by_file.values() for importer in found]

    def named(self, name: str) -> list[Importer]:
        """Importers of the file `name`, or the one importer of that name. Raises: ConfigError."""
        found = self.by_file.get(name) or [importer for importer in self.all() if importer_name(importer) == name]
        if not found:
            known = sorted({*self.by_file, *map(importer_name, self.all())})
            raise ConfigError(f"There is no importer {name!r}.", [f"known are: {', '.join(known)}", *self.problems])
        return found


def importer_name(importer: Importer) -> str:
    """What `--importer` calls it."""
    return importer.name or type(importer).__module__.removeprefix(_PREFIX)


_PREFIX = "b24sync_site_importers."


def load_importers(folders: Iterable[Path]) -> Loaded:
    """Load every importer of `folders` and the bundled ones. Cost: no request."""
    loaded = Loaded()
    for folder in (*folders, bundled_folder("importers")):
        for path in sorted(folder.glob("*.py")) if folder.is_dir() else ():
            if not path.name.startswith("_") and path.stem not in loaded.by_file:
                _load_file(path, loaded)
    return loaded


def _load_file(path: Path, loaded: Loaded) -> None:
    try:
        module = _module(path)
        classes = [one for one in vars(module).values() if _is_importer(one, module)]
        loaded.by_file[path.stem] = [one() for one in classes]
    except Exception as error:  # noqa: BLE001 - a site's file may raise anything; the others go on
        loaded.by_file[path.stem] = []
        loaded.problems.append(f"{path}: {type(error).__name__}: {error}")
        return
    if not classes:
        loaded.problems.append(f"{path}: holds no importer (a class of Deals, Leads, Contacts, Companies or Importer)")


def _module(path: Path) -> ModuleType:
    name = _PREFIX + path.stem
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None and spec.loader is not None, path
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def _is_importer(one: object, module: ModuleType) -> bool:
    return isinstance(one, type) and issubclass(one, Importer) and one.__module__ == module.__name__


def claimant(file: Source, importers: Sequence[Importer], problems: Sequence[str] = ()) -> Importer:
    """The one importer that `file` is of. Raises: ConfigError, where none or several claim it."""
    claims = []
    broken = list(problems)
    for importer in importers:
        try:
            if importer.identify(file):
                claims.append(importer)
        except Exception as error:  # noqa: BLE001 - as in _load_file
            broken.append(f"importer {importer_name(importer)}: {type(error).__name__}: {error}")
    if len(claims) == 1:
        return claims[0]
    if claims:
        names = ", ".join(importer_name(importer) for importer in claims)
        raise ConfigError(
            f"{file.path}: several importers claim it.", [f"choose one with --importer: {names}", *broken]
        )
    refuse_sentence(file)
    raise ConfigError(
        f"{file.path}: no importer knows it.",
        [
            f"`b24sync import suggest {file.path.name}` proposes a mapping, to be used with --mapping",
            f"known importers: {', '.join(sorted({importer_name(importer) for importer in importers}))}",
            *broken,
        ],
    )


def refuse_sentence(file: Source) -> None:
    """An export without rows is one sentence instead of a table. Raises: SourceError that quotes it."""
    titled = [title for title in file.header if title]
    if len(titled) == 1 and " " in titled[0] and next(file.rows(), None) is None:
        raise SourceError(f'{file.path}: no table in it, only "{titled[0]}": an export without rows, nothing to import')
