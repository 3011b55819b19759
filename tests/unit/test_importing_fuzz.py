"""The readers under made-up files: each is read, or refused in words; no row goes missing.

`make test` tries a few; `make fuzz` tries others for a minute. What fails is printed with the line that repeats it.
"""

from __future__ import annotations

import contextlib
import io
import os
import random
import zipfile
from collections.abc import Callable
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from b24sync.importing.draft import Draft, RowError, draft_from_json, draft_to_json
from b24sync.importing.extract import Extractor, SeenKeys, read_rows
from b24sync.importing.golden import extracted
from b24sync.importing.loading import load_importers
from b24sync.importing.mapping import parse_mapping
from b24sync.importing.source import SourceError, open_source
from b24sync.importing.suggest import Suggestion
from b24sync.importing.values import UserFieldType

SAMPLES = Path(__file__).parents[1] / "importers"
EXPORT = SAMPLES / "bitrix24_export"
(BITRIX24,) = load_importers([]).named("bitrix24_export")
EXAMPLES = int(os.environ.get("B24SYNC_FUZZ_EXAMPLES", "25"))
"""Of each test; `make fuzz` says how many last a minute."""
# Where CI is set hypothesis would try the same examples every time.
FUZZ = settings(
    max_examples=EXAMPLES,
    deadline=None,
    derandomize=False,
    print_blob=True,
    suppress_health_check=list(HealthCheck),
)
pytestmark = pytest.mark.fuzz


def read_through(path: Path) -> None:
    """Read every row; a file may be refused, in words that name it. Anything else is raised."""
    with contextlib.suppress(SourceError), open_source(path) as source:
        for line, cells in source.rows():
            assert line > 1 and all(isinstance(cell, str) for cell in cells)


def mutated(content: bytes, seed: int, changes: int) -> bytes:
    """The file with bytes replaced, cut out, doubled or inserted."""
    chance, data = random.Random(seed), bytearray(content)
    for _ in range(changes):
        place, length = chance.randrange(len(data) or 1), chance.randrange(1, 40)
        piece = data[place : place + length]
        data[place : place + length] = chance.choice(
            [
                b"",
                piece * 2,
                bytes(chance.randrange(256) for _ in piece),
                b'"',
                b";",
                b"\n",
                b"<td>",
                b"</table>",
                b"&#0;",
            ]
        )
    return bytes(data)


@pytest.mark.parametrize("sample", sorted(EXPORT.glob("deals_*.[cx]*[sv]")), ids=lambda path: path.name)
@FUZZ
@given(seed=st.integers(0, 2**32), changes=st.integers(1, 30))
def test_a_damaged_export_is_read_or_refused_in_words(
    sample: Path, tmp_path_factory: pytest.TempPathFactory, seed: int, changes: int
) -> None:
    path = tmp_path_factory.getbasetemp() / f"damaged{sample.suffix}"
    path.write_bytes(mutated(sample.read_bytes(), seed, changes))
    read_through(path)


def workbook_parts() -> dict[str, bytes]:
    import xlsxwriter

    target = io.BytesIO()
    with xlsxwriter.Workbook(target) as book:
        sheet = book.add_worksheet("Deals")
        sheet.write_row(0, 0, ["Id", "Название", "Сумма"])
        for row in range(1, 30):
            sheet.write_row(row, 0, [f"4876876000000000{row:03d}", f"Сделка {row}", row * 1.5])
        sheet.merge_range(31, 0, 32, 1, "x")
        sheet.write_formula(33, 0, "=1/0", value="#DIV/0!")
    with zipfile.ZipFile(target) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


PARTS = workbook_parts()


@FUZZ
@given(part=st.sampled_from(sorted(PARTS)), seed=st.integers(0, 2**32), changes=st.integers(1, 20))
def test_a_workbook_with_a_damaged_part_is_read_or_refused_in_words(
    tmp_path_factory: pytest.TempPathFactory, part: str, seed: int, changes: int
) -> None:
    path = tmp_path_factory.getbasetemp() / "damaged.xlsx"
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in PARTS.items():
            archive.writestr(name, mutated(content, seed, changes) if name == part else content)
    read_through(path)


CELLS = st.one_of(
    st.text(max_size=20),
    st.sampled_from(
        ["", "Да", "1 234,56", "€ 3.500,00", "31.02.2025", "12.03.2025 10:00", "#REF!", "+7 900", "a@b.ru", "1e400"]
    ),
    st.from_regex(r"[+-]?[0-9 .,]{1,25}", fullmatch=True),
)
COLUMNS = ["title", "opportunity", "currency", "begin_date", "created_time", "probability", "opened", "observers"]
COLUMNS += ["UF_A", "UF_B", "UF_C", "UF_D", "UF_E", "product_name", "product_price", "company"]
TYPES = {
    "UF_A": UserFieldType("money"), "UF_B": UserFieldType("enumeration", multiple=True),
    "UF_C": UserFieldType("datetime"), "UF_D": UserFieldType("boolean"), "UF_E": UserFieldType("crm"),
}  # fmt: skip
MAPPING = parse_mapping(
    'entity = "deal"\noriginator = "x"\nkey = "Id"\n[columns]\n'
    + "\n".join(f'"{name}" = "{name}"' for name in COLUMNS),
    name="fuzz",
)
READER = Extractor(MAPPING, ["Id", *COLUMNS], portal_tz=ZoneInfo("Europe/Moscow"), uf_types=TYPES)


class Rows:
    """A source of made-up rows."""

    def __init__(self, rows: list[list[str]]) -> None:
        self._rows = rows

    def rows(self) -> object:
        return iter(enumerate(([cell.strip() for cell in row] for row in self._rows), start=2))


@FUZZ
@given(st.lists(st.lists(CELLS, min_size=1, max_size=len(COLUMNS) + 2), max_size=6))
def test_every_row_becomes_a_draft_or_an_error_whatever_its_cells_say(rows: list[list[str]]) -> None:
    results = list(read_rows(Rows(rows), READER, SeenKeys()))  # type: ignore[arg-type]  # rows() is all that is asked
    lines = {result.line for result in results}
    assert lines <= set(range(2, len(rows) + 2))
    keys = [row[0].strip() for row in rows]
    apart = sum(1 for before, key in zip([None, *keys], keys, strict=False) if not key or key != before)
    assert len(results) == apart
    for result in results:
        assert isinstance(result, Draft | RowError)
        if isinstance(result, Draft):
            assert draft_from_json(draft_to_json(result)) == result
        else:
            assert result.code and result.message


def rearranged(sample: Path, target: Path, order: Callable[[list[int]], None]) -> None:
    """The same table with its columns in another order."""
    with open_source(sample) as source:
        places = list(range(len(source.header)))
        order(places)
        table = [source.header, *(cells + [""] * (len(places) - len(cells)) for _, cells in source.rows())]
    lines = [";".join('"' + row[place].replace('"', '""') + '"' for place in places) for row in table]
    target.write_text("\ufeff" + "\r\n".join(lines), encoding="utf-8")


@pytest.mark.parametrize("name", ["deals_ru_products.csv", "deals_pt.csv", "deals_en_renamed.csv", "contacts_ru.csv"])
@settings(FUZZ, max_examples=max(5, EXAMPLES // 10))
@given(shuffle=st.randoms(use_true_random=False))
def test_an_export_is_read_by_its_titles_never_by_their_order(
    name: str, tmp_path_factory: pytest.TempPathFactory, shuffle: random.Random
) -> None:
    folder = tmp_path_factory.getbasetemp() / f"order-{name}"
    folder.mkdir(exist_ok=True)
    (folder / "portal.json").write_bytes((EXPORT / "portal.json").read_bytes())
    rearranged(EXPORT / name, folder / name, shuffle.shuffle)
    ours, kept = extracted(BITRIX24, folder / name), extracted(BITRIX24, EXPORT / name)
    assert sorted(ours["left_over"]) == sorted(kept["left_over"])
    for mine, theirs in zip(ours["rows"], kept["rows"], strict=True):
        assert mine.get("fields") == theirs.get("fields") and mine["key"] == theirs["key"]


TITLES = st.one_of(
    st.sampled_from(["ID", "Номер", "Стадия", "Сумма", "Email", "Телефон", "Дата", "Компания", "Тип", "Owner", ""]),
    st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=12),
)


@FUZZ
@given(st.lists(TITLES, min_size=1, max_size=8), st.lists(st.lists(CELLS, max_size=8), max_size=4))
def test_a_suggestion_for_any_table_is_a_mapping(
    tmp_path_factory: pytest.TempPathFactory, titles: list[str], rows: list[list[str]]
) -> None:
    path = tmp_path_factory.getbasetemp() / "any.csv"
    lines = [";".join('"' + cell.replace('"', '""') + '"' for cell in row) for row in [titles, *rows] if row]
    path.write_text("\n".join(lines), encoding="utf-8")
    with contextlib.suppress(SourceError):
        source = open_source(path)
        text = "\n".join(Suggestion(source).lines("any.csv"))
        Extractor(parse_mapping(text, name="suggested"), source.header, portal_tz=ZoneInfo("UTC"))
