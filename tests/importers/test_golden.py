"""What the bundled importers make of their samples: golden files beside them, written anew with --overwrite-golden."""

from __future__ import annotations

from pathlib import Path

import pytest

from b24sync.importing.golden import SUFFIX, differences
from b24sync.importing.loading import claimant, load_importers
from b24sync.importing.source import open_source

HERE = Path(__file__).parent
SAMPLES = sorted(
    path for path in HERE.glob("*/*") if path.suffix in (".csv", ".xls", ".xlsx") and not path.name.endswith(SUFFIX)
)
LOADED = load_importers([])


def test_every_bundled_importer_has_a_sample() -> None:
    assert LOADED.problems == []
    made_by_a_test = {"b24sync_template"}  # its workbooks: tests/sandbox/test_import_template.py
    assert {sample.parent.name for sample in SAMPLES} == set(LOADED.by_file) - made_by_a_test


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_a_sample_is_claimed_by_one_importer_that_makes_of_it_what_is_expected(
    sample: Path, request: pytest.FixtureRequest
) -> None:
    with open_source(sample) as source:
        importer = claimant(source, LOADED.all())
    assert importer in LOADED.by_file[sample.parent.name]
    assert differences(importer, sample, overwrite=bool(request.config.getoption("--overwrite-golden"))) == []
