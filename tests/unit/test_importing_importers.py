"""Importers: the example of the documentation, declared columns, loading, folding of product lines."""

from __future__ import annotations

import re
import textwrap
from pathlib import Path
from typing import Any

import pytest

from b24sync.errors import ConfigError
from b24sync.importing import Companies, Deals, Importer, Money, PortalWords, Text, load_mapping
from b24sync.importing.draft import Draft, RowError
from b24sync.importing.folding import fold_lines
from b24sync.importing.golden import SUFFIX, differences, extracted
from b24sync.importing.importer import declared_mapping
from b24sync.importing.loading import claimant, load_importers
from b24sync.importing.source import SourceError, open_source

PROJECT = Path(__file__).parents[2]


def example_of_the_page() -> str:
    page = (PROJECT / "docs" / "importers.md").read_text(encoding="utf-8")
    found = re.search(r"### One importer\n\n```python\n(.*?)```", page, re.S)
    assert found is not None
    return found[1]


def test_the_importer_of_the_page_reads_its_files(tmp_path: Path) -> None:
    (tmp_path / "acme_fair.py").write_text(example_of_the_page(), encoding="utf-8")
    sample = tmp_path / "acme-fair-1.csv"
    rows = [
        "Badge no.;Company;Mobile;Office;Budget;Scanned by;Scanned;Badge colour",
        "7;ООО Ромашка;+7 900 000-00-01;+7 495 000-00-02;1 500,50;Анна Орлова;12.03.2025 10:15;red",
        "8;TEST badge;;;;;12.03.2025 10:16;",
        "9;ИП Ветров;нет;;;;32.03.2025 10:16;blue",
    ]
    sample.write_bytes("\r\n".join(rows).encode("cp1251"))
    loaded = load_importers([tmp_path])
    assert loaded.problems == []
    (importer,) = loaded.named("acme_fair")
    with open_source(sample, encoding=importer.encoding, separator=importer.delimiter) as source:
        assert claimant(source, loaded.all()) is importer
    lead, test, bad = extracted(importer, sample)["rows"]
    assert [phone["valueType"] for phone in lead["fields"]["phone"]] == ["MOBILE", "WORK"]
    assert (lead["key"], lead["fields"]["opportunity"], lead["fields"]["currency"]) == ("7", 1500.5, "RUB")
    assert lead["fields"]["created_time"] == "2025-03-12T10:15:00+03:00"
    assert (test["error"], bad["error"]) == ("TEST_BADGE", "BAD_PHONE")
    assert "32.03.2025" in bad["message"]


@pytest.mark.parametrize(
    ("name", "mapping"),
    [
        ("school_x_contacts", "school_x_crm/contacts.toml"),
        ("school_x_deals", "school_x_crm/deals.toml"),
        ("maven_accounts", "maven_crm_sales/accounts.toml"),
        ("maven_pipeline", "maven_crm_sales/pipeline.toml"),
    ],
)
def test_a_worked_example_says_the_same_as_an_importer_and_as_a_mapping(name: str, mapping: str) -> None:
    (importer,) = load_importers([]).named(name)
    declared, written = declared_mapping(type(importer)), load_mapping(PROJECT / "examples" / mapping)
    assert (declared.entity, declared.originator, declared.key) == (written.entity, written.originator, written.key)
    assert declared.constants == written.constants and declared.templates == written.templates
    for title, column in written.columns.items():
        ours = declared.columns[title]
        assert ours.model_copy(update={"map": {}}) == column.model_copy(update={"map": {}}), title
        assert column.map.items() <= ours.map.items(), title


def test_columns_that_do_not_fit_their_fields_are_told_all_at_once() -> None:
    class Wrong(Deals):
        originator_id = "x"
        origin_id = Text("Id")
        title = Money("Title")
        begin_date = Money("Begin")

    with pytest.raises(ConfigError) as caught:
        declared_mapping(Wrong)
    assert len(caught.value.problems) == 2 and "title is a text field" in str(caught.value)

    class Unknown(Companies):
        originator_id = "x"
        origin_id = Text("Id")
        opportunity = Money("Sum")

    with pytest.raises(ConfigError, match='company has no field "opportunity"'):
        Unknown().mapping(None, PortalWords())  # type: ignore[arg-type]  # declared columns need no file


def test_a_broken_file_is_reported_a_site_file_replaces_a_bundled_one_and_the_others_go_on(tmp_path: Path) -> None:
    (tmp_path / "broken.py").write_text("import no_such_library", encoding="utf-8")
    (tmp_path / "empty.py").write_text("X = 1", encoding="utf-8")
    own = """
        from b24sync.importing import Deals, Text
        class Mine(Deals):
            originator_id, origin_id, title = "mine", Text("Id"), Text("Name")
        """
    (tmp_path / "mapped.py").write_text(textwrap.dedent(own), encoding="utf-8")
    loaded = load_importers([tmp_path, tmp_path / "absent"])
    assert [problem.split(": ")[1] for problem in loaded.problems] == [
        "ModuleNotFoundError",
        "holds no importer (a class of Deals, Leads, Contacts, Companies or Importer)",
    ]
    assert type(loaded.named("mapped")[0]).__name__ == "Mine"
    assert "bitrix24_export" in loaded.by_file


class Fails(Importer):
    name = "fails"

    def identify(self, file: Any) -> bool:
        raise RuntimeError("a bug")


def test_an_importer_that_fails_to_identify_does_not_stop_the_others(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("Id,Name\n1,x\n", encoding="utf-8")
    with open_source(path) as source, pytest.raises(ConfigError) as caught:
        claimant(source, [Fails()])
    assert "importer fails: RuntimeError: a bug" in str(caught.value)


def test_a_golden_file_is_only_written_when_told_and_shows_what_differs(tmp_path: Path) -> None:
    class Plain(Deals):
        originator_id, origin_id, title = "plain", Text("Id"), Text("Name")

    sample = tmp_path / "a.csv"
    sample.write_text("Id,Name\n1,Насос\n", encoding="utf-8")
    assert "does not exist" in differences(Plain(), sample)[0]
    assert differences(Plain(), sample, overwrite=True) == []
    assert differences(Plain(), sample) == []
    golden = sample.with_name(sample.name + SUFFIX)
    kept = golden.read_text(encoding="utf-8")
    sample.write_text("Id,Name\n1,Клапан\n", encoding="utf-8")
    told = differences(Plain(), sample)
    assert any(line.startswith("-") and "Насос" in line for line in told)
    assert any(line.startswith("+") and "Клапан" in line for line in told)
    assert golden.read_text(encoding="utf-8") == kept


# --- product lines -----------------------------------------------------------------------------------------------


def line(number: int, key: str, **values: Any) -> Draft:
    return Draft(number, key, values)


def product(name: str, price: float, quantity: float = 1) -> dict[str, Any]:
    return {"product_name": name, "product_price": price, "product_quantity": quantity}


def folded(*lines: Draft | RowError) -> list[Draft | RowError]:
    return list(fold_lines(lines))


def test_lines_of_one_key_are_one_item_with_a_product_row_each() -> None:
    first = line(2, "1", title="A", opportunity=20, **product("x", 10, 2))
    (item,) = folded(first, line(3, "1", title="A", opportunity=5, **product("y", 5)))
    assert isinstance(item, Draft) and (item.line, item.key) == (2, "1")
    assert item.fields["opportunity"] == 25 and item.fields["title"] == "A"
    assert item.fields["product_rows"] == [
        {"quantity": 2, "name": "x", "price": 10},
        {"quantity": 1, "name": "y", "price": 5},
    ]


@pytest.mark.parametrize(
    ("amounts", "expected"),
    [
        ([20, 5], 25),  # each line its own amount
        ([25, 25], 25),  # each line repeats the whole
        ([25, None], 25),  # the first line has the whole
        ([None, None], 25),  # nobody says it: price x quantity
        ([18, 4], 22),  # with a discount: the lines' own amounts
    ],
)
def test_the_amount_is_the_sum_of_the_lines_unless_each_repeats_the_whole(amounts: list[Any], expected: int) -> None:
    prices = [product("x", 10, 2), product("y", 5)]
    lines = [
        line(n, "1", **{**row, **({} if amount is None else {"opportunity": amount})})
        for n, (row, amount) in enumerate(zip(prices, amounts, strict=True))
    ]
    (item,) = folded(*lines)
    assert isinstance(item, Draft) and item.fields["opportunity"] == expected


def test_money_is_added_exactly() -> None:
    (item,) = folded(*[line(n, "1", opportunity=0.1, **product("x", 0.1)) for n in range(3)])
    assert isinstance(item, Draft) and item.fields["opportunity"] == 0.3


def test_lines_that_contradict_each_other_and_bad_lines_refuse_the_whole_item() -> None:
    bad = RowError(4, "2", "Price", "x", "BAD_NUMBER", "a number")
    results = folded(
        line(2, "1", title="A", **product("x", 1)),
        line(3, "1", title="B", **product("y", 1)),
        line(4, "2", title="C", **product("x", 1)),
        bad,
        line(6, "3", title="D", product_price=5),
        line(7, "4", title="E", product_quantity=3),
        line(8, "5", title="F", product_quantity=1),
    )
    assert [result.code for result in results if isinstance(result, RowError)] == [
        "LINES_DIFFER",
        "BAD_NUMBER",
        "PRICE_WITHOUT_PRODUCT",
        "PRICE_WITHOUT_PRODUCT",
    ]
    assert len(results) == 5


def test_rows_without_a_key_are_not_folded_together() -> None:
    lost = [RowError(n, None, "Id", None, "NO_KEY", "no key") for n in (2, 3)]
    assert folded(*lost) == lost


# --- pages named .xls --------------------------------------------------------------------------------------------


def page(tmp_path: Path, body: str, encoding: str = "utf-8", head: str = "") -> Path:
    path = tmp_path / "export.xls"
    path.write_bytes(f"<html><head>{head}</head><body>{body}</body></html>".encode(encoding))
    return path


TABLE = "<table><tr><th>ID</th><th>Название</th></tr><tr><td>1</td><td>{cell}</td></tr></table>"


@pytest.mark.parametrize(
    ("cell", "text"),
    [
        ("a&nbsp;b", "a\xa0b"),
        ("a &amp;quot;b&amp;quot;", "a &quot;b&quot;"),
        ("<b>жирно</b><br/>вторая", "жирно\nвторая"),
        ("<p>раз</p><p>два</p>", "раз\nдва"),
        ("<table><tr><td>x</td><td>y</td></tr></table>", "xy"),
        ("", ""),
    ],
)
def test_a_cell_of_a_page_is_its_text(cell: str, text: str, tmp_path: Path) -> None:
    with open_source(page(tmp_path, TABLE.format(cell=cell))) as source:
        assert source.header == ["ID", "Название"]
        ((row, cells),) = source.rows()
        assert row == 2 and cells == ["1", text]


@pytest.mark.parametrize(("encoding", "head"), [
    ("cp1251", '<meta http-equiv="Content-Type" content="text/html; charset=windows-1251">'),
    ("utf-16", ""), ("utf-8-sig", ""), ("cp1251", ""),
])  # fmt: skip
def test_the_encoding_of_a_page_is_what_it_says_or_what_it_looks_like(encoding: str, head: str, tmp_path: Path) -> None:
    rows = "".join(f"<tr><td>{n}</td><td>Договор поставки номер {n} от февраля</td></tr>" for n in range(20))
    path = page(tmp_path, f"<table><tr><td>ID</td><td>Название</td></tr>{rows}</table>", encoding, head)
    with open_source(path) as source:
        assert source.header[1] == "Название" and len(list(source.rows())) == 20


def test_a_page_of_layout_tables_cut_off_or_without_a_table_is_told(tmp_path: Path) -> None:
    with open_source(page(tmp_path, "<table></table>" + TABLE.format(cell="x"))) as source:
        assert len(list(source.rows())) == 1
    cut = tmp_path / "cut.xls"
    cut.write_text("<html><body><table><tr><th>ID</th><th>Имя</th></tr><tr><td>1</td><td>a", encoding="utf-8")
    with open_source(cut) as source, pytest.raises(SourceError, match="cut off"):
        list(source.rows())
    with pytest.raises(SourceError, match='only "Нет сделок"'):
        open_source(page(tmp_path, "<p>Нет сделок</p>", head="<style>td {color: red}</style>"))
    with pytest.raises(SourceError, match="says its encoding is x-unknown"):
        open_source(page(tmp_path, TABLE.format(cell="x"), head='<meta charset="x-unknown">'))
