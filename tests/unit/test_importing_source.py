"""Files as rows of text: CSV and XLSX, what is found out by itself, and what is refused."""

from __future__ import annotations

import datetime as dt
import hashlib
import zipfile
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import xlsxwriter  # it ships no types
from hypothesis import given, settings
from hypothesis import strategies as st

from b24sync.importing.csv_source import CsvSource, sniff_separator
from b24sync.importing.encodings import guess_single_byte
from b24sync.importing.source import EDGES, DateCell, NumberCell, SourceError, open_source, refuse_heading
from b24sync.importing.xlsx_source import cell_text

RUSSIAN = "Имя;Город;Комментарий\nИванов Пётр;Нижний Новгород;перезвонить после обеда\nООО «Ромашка»;Москва;№ 5\n"
GERMAN = "Name;Ort;Straße\nMüller;Köln;Große Straße 5\nJäger;Düsseldorf;Königsallee\nSchön;Nürnberg;Weg\n"


def csv_file(folder: Path, content: str | bytes, encoding: str = "utf-8") -> Path:
    path = folder / "file.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode(encoding))
    return path


def workbook(folder: Path, sheets: dict[str, list[list[Any]]]) -> Path:
    path = folder / "file.xlsx"
    with xlsxwriter.Workbook(path, {"strings_to_numbers": False}) as book:
        date = book.add_format({"num_format": "dd.mm.yyyy hh:mm"})
        span = book.add_format({"num_format": "[h]:mm:ss"})
        for name, rows in sheets.items():
            sheet = book.add_worksheet(name)
            for row, cells in enumerate(rows):
                for column, value in enumerate(cells):
                    if isinstance(value, dt.datetime | dt.date | dt.time):
                        sheet.write_datetime(row, column, value, date)
                    elif isinstance(value, dt.timedelta):
                        sheet.write_datetime(row, column, value, span)
                    elif value is not None:
                        sheet.write(row, column, value)
    return path


def rows_of(path: Path, sheet: str | None = None) -> list[tuple[int, list[str]]]:
    with open_source(path, sheet=sheet) as source:
        return list(source.rows())


# --- CSV ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("encoding", "found"),
    [
        ("utf-8", "utf-8"),
        ("utf-8-sig", "utf-8-sig"),
        ("cp1251", "cp1251"),
        ("koi8-r", "koi8-r"),
        ("cp866", "cp866"),
        ("utf-16", "utf-16"),
        ("utf-16-le", "utf-16-le"),
        ("utf-16-be", "utf-16-be"),
    ],
)
def test_the_encoding_of_a_russian_file_is_found_out(tmp_path: Path, encoding: str, found: str) -> None:
    text = RUSSIAN.replace("«", '"').replace("»", '"').replace('ООО "Ромашка"', "ООО Ромашка").replace("№", "N")
    with CsvSource(csv_file(tmp_path, text, encoding)) as source:
        assert source.encoding == found
        assert source.header == ["Имя", "Город", "Комментарий"]
        assert [cells[0] for _, cells in source.rows()] == ["Иванов Пётр", "ООО Ромашка"]


def test_capital_letters_and_short_files_do_not_mislead_the_encoding(tmp_path: Path) -> None:
    for text in ("ИМЯ;ТЕЛЕФОН\nИВАНОВ;1\n", "Имя;Телефон\nИван;1\n", "Фирма;Ж\n"):
        for encoding in ("cp1251", "koi8-r"):
            assert CsvSource(csv_file(tmp_path, text, encoding)).encoding == encoding, (text, encoding)


def test_western_letters_are_not_taken_for_cyrillic(tmp_path: Path) -> None:
    with CsvSource(csv_file(tmp_path, GERMAN, "cp1252")) as source:
        assert source.encoding == "cp1252"
        assert [cells[1] for _, cells in source.rows()] == ["Köln", "Düsseldorf", "Nürnberg"]


def test_a_file_whose_first_letters_stand_far_below_is_read_right(tmp_path: Path) -> None:
    text = "id;name\n" + "1;ascii only\n" * 120_000 + "2;Пётр Иванов из Казани\n"
    with CsvSource(csv_file(tmp_path, text, "cp1251")) as source:
        assert list(source.rows())[-1] == (120_002, ["2", "Пётр Иванов из Казани"])


def test_a_broken_place_in_a_utf8_file_is_named_instead_of_reading_all_of_it_wrong(tmp_path: Path) -> None:
    content = RUSSIAN.encode() * 1000 + b"\xd0\n" + "Пётр;Казань;\n".encode()
    with pytest.raises(SourceError, match="line 3001: byte 0xd0 is not utf-8"):
        rows_of(csv_file(tmp_path, content))


def test_lines_of_two_encodings_in_one_file_are_named_instead_of_reading_one_of_them_wrong(tmp_path: Path) -> None:
    content = "Имя;Город\n".encode("cp1251") * 50 + "Пётр;Казань\n".encode()
    with pytest.raises(SourceError, match="line 1: byte 0xc8 is not utf-8"):
        rows_of(csv_file(tmp_path, content))


def test_an_encoding_that_cannot_be_told_is_refused() -> None:
    assert not guess_single_byte(b"id;name\n1;\xfa").sure


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
def test_the_separator_is_found_out(tmp_path: Path, separator: str) -> None:
    lines = [["Id", "Имя", "Сумма"], ["1", "Иван; Пётр, Анна", "1 000,50"], ["2", "a|b", "3,5"]]
    text = "".join(separator.join(f'"{cell}"' for cell in line) + "\r\n" for line in lines)
    with CsvSource(csv_file(tmp_path, text)) as source:
        assert source.separator == separator
        assert [cells for _, cells in source.rows()] == lines[1:]


@pytest.mark.parametrize("first", ["sep=,\n", '\ufeff"sep=,"\r\n', "SEP=,\r\n"])
def test_a_line_that_declares_the_separator_is_no_header(tmp_path: Path, first: str) -> None:
    with open_source(csv_file(tmp_path, first + "Id,A\n1,a;b;c\n2,d;e;f\n")) as source:
        assert (source.header, list(source.rows())) == (["Id", "A"], [(3, ["1", "a;b;c"]), (4, ["2", "d;e;f"])])


def test_decimal_commas_do_not_make_the_comma_the_separator() -> None:
    assert sniff_separator("id;a;b\n1;1,5;2,5\n2;3,5;4,5\n3;1,0;2,0\n") == ";"


def test_a_file_of_one_column_is_read(tmp_path: Path) -> None:
    assert rows_of(csv_file(tmp_path, "Id\nA1\nA2\n")) == [(2, ["A1"]), (3, ["A2"])]


def test_lines_are_the_physical_ones_a_person_sees(tmp_path: Path) -> None:
    text = '\nId,Text\n1,"one\ntwo\nthree"\n\n2,x\n,\n3,y\n\n\n'
    assert rows_of(csv_file(tmp_path, text)) == [
        (3, ["1", "one\ntwo\nthree"]),
        (6, ["", ""]),
        (7, ["2", "x"]),
        (8, ["", ""]),
        (9, ["3", "y"]),
    ]


def test_rows_may_be_read_again(tmp_path: Path) -> None:
    with open_source(csv_file(tmp_path, RUSSIAN)) as source:
        assert list(source.rows()) == list(source.rows())
        assert source.approx_rows == 2


def test_cells_come_stripped_also_of_spaces_that_do_not_break(tmp_path: Path) -> None:
    assert rows_of(csv_file(tmp_path, "Id;Имя\n 1 ;\u00a0Иван \n")) == [(2, ["1", "Иван"])]


def test_files_put_together_leave_no_mark_in_a_key(tmp_path: Path) -> None:
    (_, (key, cell)), *_ = rows_of(csv_file(tmp_path, "Id;A\n\ufeff1;\u200ba \ufeff\n"))
    assert (key, cell) == ("1", "a")
    book = workbook(tmp_path, {"A": [["Id\u200b", "A"], ["\ufeff1", "a\u2060"]]})
    assert rows_of(book) == [(2, ["1", "a"])]
    with open_source(book) as source:
        assert source.header == ["Id", "A"]


def test_the_fingerprint_is_the_files(tmp_path: Path) -> None:
    path = csv_file(tmp_path, RUSSIAN)
    with open_source(path) as source:
        assert source.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
        assert source.name == "file.csv"
    book = workbook(tmp_path, {"A": [["Id"], ["1"]]})
    with open_source(book) as source:
        assert source.sha256 == hashlib.sha256(book.read_bytes()).hexdigest()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "the file is empty"),
        (b"\xef\xbb\xbf", "no rows"),
        (b"\n\n , ,\n", "no rows"),
        (b"1,2024-01-30,100\n2,2024-01-31,200\n", "no header"),
        (b"5,a@example.com,+7 912\n", "no header"),
        (b'Id,Name\n1,"never closed\n2,x\n', "line 2: a quotation mark opens here and is never closed"),
        (b'Id,Name\n1,ok\n2,"one" two\n', "line 3: text after a closing quotation mark"),
        (b"Id,Name\n1," + b"x" * 10_000_000 + b"\n", "line 2: a cell of more than 1,000,000 characters"),
        (b"a\x00\x01\x02b\x00;\x05\x06\n\x07\x08", "zero bytes"),
        (b"%PDF-1.7", "not a table"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1 and more", "old .xls"),
        (b"PK\x03\x04 not a zip", "not a readable .xlsx workbook"),
    ],
)
def test_a_file_that_is_no_table_is_refused_with_its_reason(tmp_path: Path, content: bytes, message: str) -> None:
    with pytest.raises(SourceError, match=message):
        rows_of(csv_file(tmp_path, content))


def test_a_missing_file_and_a_sheet_of_a_csv_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="cannot be opened"):
        open_source(tmp_path / "none.csv")
    with pytest.raises(SourceError, match="has none"):
        open_source(csv_file(tmp_path, RUSSIAN), sheet="Deals")


cells = st.text(
    alphabet=st.characters(blacklist_categories=["Cs", "Cc"], blacklist_characters="\ufeff"), min_size=0, max_size=12
)


@settings(deadline=None)
@given(st.lists(st.lists(cells, min_size=3, max_size=3), min_size=1, max_size=6), st.sampled_from(";,\t|"))
def test_every_quoted_table_comes_back_as_it_was(
    tmp_path_factory: pytest.TempPathFactory, table: list[list[str]], separator: str
) -> None:
    folder = tmp_path_factory.mktemp("csv")
    quoted = [separator.join('"' + cell.replace('"', '""') + '"' for cell in row) for row in [["Id", "B", "C"], *table]]
    read = [cells for _, cells in rows_of(csv_file(folder, "\n".join(quoted)))]
    expected = [[cell.strip(EDGES) for cell in row] for row in table]
    while expected and not any(expected[-1]):
        expected.pop()
    assert read == expected


@settings(deadline=None)
@given(st.binary(max_size=300))
def test_no_bytes_crash_the_reader(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    path = csv_file(tmp_path_factory.mktemp("bytes"), content)
    with suppress(SourceError):
        assert all(isinstance(cell, str) for _, cells in rows_of(path) for cell in cells)


# --- XLSX --------------------------------------------------------------------------------------------------------


def test_cells_become_text_without_loss(tmp_path: Path) -> None:
    path = workbook(
        tmp_path,
        {
            "Deals": [
                ["Id", "Number", "Float", "When", "Day", "Flag", "Span", "Clock"],
                [
                    "5805028000056864695",
                    11000.0,
                    0.1,
                    dt.datetime(2024, 1, 30, 9, 5, 7),
                    dt.date(2024, 1, 30),
                    True,
                    dt.timedelta(days=2, seconds=1046),
                    dt.time(0, 10, 46),
                ],
            ]
        },
    )
    [(line, read)] = rows_of(path)
    assert line == 2
    assert read == [
        "5805028000056864695", "11000", "0.1", "2024-01-30T09:05:07", "2024-01-30", "TRUE", "48:17:26", "00:10:46"
    ]  # fmt: skip
    assert [type(cell) for cell in read[:5]] == [str, NumberCell, NumberCell, DateCell, DateCell]


@pytest.mark.parametrize(
    ("number", "text"),
    [(0.0, "0"), (-3.0, "-3"), (1e-7, "0.0000001"), (5.8050280000439e18, "5805028000043900000"), (1.5e300, None)],
)
def test_a_number_is_written_with_all_its_digits_and_no_exponent(number: float, text: str | None) -> None:
    written = cell_text(number)
    assert float(written) == number
    assert "e" not in written
    if text is not None:
        assert written == text


def test_rows_are_numbered_as_the_sheet_numbers_them(tmp_path: Path) -> None:
    path = workbook(
        tmp_path, {"A": [[], [None, "Id", "Name"], [], [None, "1", "x"], [], [None, None, "#REF!"], [None, None, " "]]}
    )
    with open_source(path) as source:
        assert source.header == ["", "Id", "Name"]
        assert list(source.rows()) == [
            (3, ["", "", ""]),
            (4, ["", "1", "x"]),
            (5, ["", "", ""]),
            (6, ["", "", "#REF!"]),
        ]


def test_error_values_and_formulas_without_a_result_do_not_go_missing(tmp_path: Path) -> None:
    path = tmp_path / "errors.xlsx"
    with xlsxwriter.Workbook(path) as book:
        sheet = book.add_worksheet("A")
        sheet.write_row(0, 0, ["Id", "Good", "Error", "Never calculated", "Empty text"])
        sheet.write(1, 0, "1")
        sheet.write_formula(1, 1, "=1+1", None, 2)
        sheet.write_formula(1, 2, "=A1/0", None, "#DIV/0!")
        sheet.write_formula(1, 3, "=B2+1", None, 77_777)
        sheet.write_formula(1, 4, '=""', None, "")
        sheet.write_formula(2, 25, "=NA()", None, "#N/A")
    broken = tmp_path / "broken.xlsx"
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(broken, "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            content = old.read(name)
            if name == "xl/worksheets/sheet1.xml":
                assert b"<v>77777</v>" in content
                content = content.replace(b"<v>77777</v>", b"").replace(
                    b'<c r="E2"><f>""</f><v></v>', b'<c r="E2" t="str"><f>""</f><v></v>'
                )
            new.writestr(name, content)
    read = rows_of(broken)
    assert read[0] == (2, ["1", "2", "#DIV/0!", "#FORMULA!", "", *[""] * 21])
    assert read[1][0] == 3
    assert read[1][1][25] == "#N/A"


def test_an_error_value_on_the_edge_of_two_chunks_is_found(tmp_path: Path) -> None:
    path = tmp_path / "long.xlsx"
    rows = 30_000
    with xlsxwriter.Workbook(path) as book:
        sheet = book.add_worksheet("A")
        sheet.write_row(0, 0, ["Id", "Error"])
        for row in range(1, rows + 1):
            sheet.write(row, 0, row)
            sheet.write_formula(row, 1, "=A1/0", None, "#DIV/0!")
    with zipfile.ZipFile(path) as archive:
        assert archive.getinfo("xl/worksheets/sheet1.xml").file_size > 2_000_000
    assert [cells[1] for _, cells in rows_of(path)] == ["#DIV/0!"] * rows


def test_the_only_filled_visible_sheet_is_read(tmp_path: Path) -> None:
    path = workbook(tmp_path, {"Лист1": [], "Данные": [["Id"], ["1"]], "Лист3": []})
    assert rows_of(path) == [(2, ["1"])]


def test_several_filled_sheets_need_a_choice(tmp_path: Path) -> None:
    path = workbook(tmp_path, {"A": [["Id"], ["1"]], "B": [["Id"], ["2"]]})
    with pytest.raises(SourceError, match=r"several sheets hold data \(A, B\)"):
        open_source(path)
    assert rows_of(path, "B") == [(2, ["2"])]
    with pytest.raises(SourceError, match="no sheet C; it has A, B"):
        open_source(path, sheet="C")


def test_a_hidden_sheet_is_not_read_by_itself(tmp_path: Path) -> None:
    path = tmp_path / "hidden.xlsx"
    with xlsxwriter.Workbook(path) as book:
        book.add_worksheet("Shown").write_column(0, 0, ["Id", "1"])
        hidden = book.add_worksheet("Hidden")
        hidden.write_column(0, 0, ["Id", "2"])
        hidden.hide()
    assert rows_of(path) == [(2, ["1"])]
    assert rows_of(path, "Hidden") == [(2, ["2"])]


def test_empty_and_headless_sheets_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="is empty"):
        open_source(workbook(tmp_path, {"A": []}))
    with pytest.raises(SourceError, match="no header"):
        open_source(workbook(tmp_path, {"A": [[1, 2.5, dt.date(2024, 1, 30)], [2, 3.5, None]]}))


def test_a_zip_bomb_is_refused_before_it_is_unpacked(tmp_path: Path) -> None:
    path = tmp_path / "bomb.xlsx"
    with (
        zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open("xl/worksheets/sheet1.xml", "w") as part,
    ):
        for _ in range(250):
            part.write(b" " * 1_000_000)
    assert path.stat().st_size < 1_000_000
    with pytest.raises(SourceError, match="unpacks to 250 MB"):
        open_source(path)


def test_a_cell_that_strayed_to_the_end_of_the_sheet_is_told_and_does_not_abort(tmp_path: Path) -> None:
    path, silent = tmp_path / "far.xlsx", tmp_path / "silent.xlsx"
    with xlsxwriter.Workbook(path) as book:
        sheet = book.add_worksheet("A")
        sheet.write_column(0, 0, ["Id", "1"])
        sheet.write(1_048_575, 16_383, "x")
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(silent, "w") as new:
        for name in old.namelist():
            new.writestr(name, old.read(name).replace(b'<dimension ref="A1:XFD1048576"/>', b""))
    for each in (path, silent):
        with pytest.raises(SourceError, match="as far off as row 1048576 and column 16384; delete"):
            open_source(each)


def test_empty_cells_far_off_that_only_have_a_colour_are_no_hindrance(tmp_path: Path) -> None:
    path = tmp_path / "coloured.xlsx"
    with xlsxwriter.Workbook(path) as book:
        sheet = book.add_worksheet("A")
        sheet.write_column(0, 0, ["Id", "1"])
        sheet.write_blank(1_048_575, 16_383, None, book.add_format({"bg_color": "#FF0000"}))
    with zipfile.ZipFile(path) as book_parts:
        assert b"XFD1048576" in book_parts.read("xl/worksheets/sheet1.xml")
    assert rows_of(path) == [(2, ["1"])]


@pytest.mark.parametrize("encoding", [b"UT", b"big5"])
def test_a_workbook_whose_parts_claim_an_encoding_that_cannot_be_read_is_refused(
    tmp_path: Path, encoding: bytes
) -> None:
    path, odd = workbook(tmp_path, {"A": [["Id"], ["1"]]}), tmp_path / "odd.xlsx"
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(odd, "w") as new:
        for name in old.namelist():
            new.writestr(name, old.read(name).replace(b'encoding="UTF-8"', b'encoding="' + encoding + b'"'))
    with pytest.raises(SourceError, match="not a readable"):
        open_source(odd)


def test_what_stands_above_the_titles_is_told_with_their_line(tmp_path: Path) -> None:
    rows: list[list[Any]] = [["Заявки за март", None], [], ["Id", "Сумма"], ["1", 2]]
    with open_source(workbook(tmp_path, {"A": rows})) as source:
        for wanted in ("Id", None):
            with pytest.raises(SourceError, match=r'line 3 seems to hold the titles.*\("Заявки за март"\)'):
                refuse_heading(source, wanted)
        refuse_heading(source, "Номер")
    with open_source(workbook(tmp_path, {"A": rows[2:]})) as source:
        for wanted in ("Id", "Номер", None):
            refuse_heading(source, wanted)


def test_a_closed_workbook_reads_no_more(tmp_path: Path) -> None:
    with open_source(workbook(tmp_path, {"A": [["Id"], ["1"]]})) as source:
        pass
    with pytest.raises(SourceError, match="closed"):
        list(source.rows())
