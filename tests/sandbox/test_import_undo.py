"""`import undo`: what a run created and nobody touched since is deleted, the rest is listed. Judged by the sandbox."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from desk import Desk
from rehearsal import Ended
from sandbox_process import SandboxProcess, running_sandbox

SEED: dict[str, Any] = {
    "categories": [{"name": "Продажи", "stages": [{"name": "Новая"}]}],
    "items": [{"entityTypeId": 2, "fields": {"title": "Чужая"}}, {"entityTypeId": 4, "fields": {"title": "АО Вектор"}}],
}
MAPPING = """
entity = "deal"
originator = "old-crm"
key = "Id"
[columns]
"Название" = "title"
"Компания" = { field = "company", match = "title", create = true }
[constants]
pipeline = "Продажи"
"""
HEADER = ["Id", "Название", "Компания"]
ROWS = [[str(n), f"Сделка {n}", "ООО Ромашка" if n % 2 else "АО Вектор"] for n in range(1, 13)]


@pytest.fixture(scope="module")
def sandbox() -> Iterator[SandboxProcess]:
    with running_sandbox(plan="off", seed=SEED) as running:
        yield running


@pytest.fixture
def desk(sandbox: SandboxProcess, tmp_path: Path) -> Desk:
    sandbox.reset(SEED)
    return Desk(tmp_path, sandbox)


def imported(desk: Desk, rows: list[list[str]] = ROWS, name: str = "d.csv") -> int:
    ended = desk.run_import(desk.table(name, HEADER, rows), desk.file("m.toml", MAPPING))
    assert (ended.code, ended.result["created"]) == (0, len(rows)), ended
    return int(ended.result["run"])


def undone(desk: Desk, run: int) -> Ended:
    return desk.run("import", "undo", str(run), "--yes", "--json")


def deals(desk: Desk) -> dict[str, int]:
    """Ids of our deals by key."""
    held: list[Any] = desk.sandbox.state("items", originatorId="old-crm", select="originId,id")
    return {deal["originId"]: deal["id"] for deal in held}


def a_second_later() -> None:
    """The portal tells times in whole seconds: what happens in one second cannot be told apart."""
    time.sleep(1.1)


def test_what_a_run_created_is_deleted_with_the_company_made_for_it_and_may_be_imported_again(desk: Desk) -> None:
    run = imported(desk)
    ended = undone(desk, run)
    assert (ended.code, ended.result["deleted"], ended.result["kept"]) == (0, 13, 0), ended
    assert [deal["title"] for deal in desk.items(2, "title")] == ["Чужая"]
    assert [company["title"] for company in desk.items(4, "title")] == ["АО Вектор"]
    assert '"state": "undone"' in desk.run("import", "list", "--json").stdout
    again = undone(desk, run)
    assert (again.code, again.result["deleted"]) == (0, 0), again
    once_more = imported(desk)
    assert once_more != run and len(deals(desk)) == 12
    assert desk.sandbox.figures()["duplicates_total"] == 0


def test_an_undo_that_is_interrupted_tells_how_far_it_came(desk: Desk) -> None:
    run = imported(desk)
    desk.sandbox.fault("overload", "crm.item.delete", nth=2)
    ended = undone(desk, run)
    assert [bool(fault["fired"]) for fault in desk.sandbox.faults()] == [True], "the fault did not bite"
    assert (ended.code, ended.result["run"], ended.result["deleted"]) == (69, run, 12), ended
    assert deals(desk) == {}


def test_what_somebody_touched_stays_and_is_listed(desk: Desk) -> None:
    run = imported(desk)
    ids = deals(desk)
    desk.sandbox.rest("crm.item.delete", {"entityTypeId": 2, "id": ids["12"]})
    a_second_later()
    desk.sandbox.act("item.edit", entityTypeId=2, id=ids["3"], fields={"title": "Руками"})
    rest = desk.sandbox.rest
    todo = {"ownerTypeId": 2, "ownerId": ids["4"], "deadline": "2030-01-01T10:00:00+03:00", "title": "Позвонить"}
    assert "error" not in rest("crm.activity.todo.add", todo)
    rows = [{"productName": "Монтаж", "price": 100, "quantity": 2}]
    assert "error" not in rest("crm.item.productrow.set", {"ownerType": "D", "ownerId": ids["5"], "productRows": rows})
    task = {"TITLE": "Замер", "RESPONSIBLE_ID": 1, "UF_CRM_TASK": [f"D_{ids['6']}"]}
    assert "error" not in rest("tasks.task.add", {"fields": task})
    company = next(item["id"] for item in desk.items(4, "id,title") if item["title"] == "ООО Ромашка")
    rest("crm.item.update", {"entityTypeId": 2, "id": desk.items(2, "id")[0]["id"], "fields": {"companyId": company}})
    ended = undone(desk, run)
    assert (ended.code, ended.result["deleted"], ended.result["kept"]) == (3, 7, 5), ended
    assert ended.result["gone"] == 1
    assert set(deals(desk)) == {"3", "4", "5", "6"}
    assert f"kept: deal {ids['3']} (key 3): changed at " in ended.stderr
    assert f"kept: deal {ids['4']} (key 4): activity " in ended.stderr
    assert f"kept: deal {ids['5']} (key 5): " in ended.stderr
    assert f"kept: deal {ids['6']} (key 6): " in ended.stderr
    assert f"kept: company {company} (key company:ооо ромашка): deal " in ended.stderr


def test_our_own_later_writes_are_no_touch(desk: Desk) -> None:
    run = imported(desk)
    desk.configure('[import]\nconflict = "overwrite"\nmax_change_share = 1.0')
    a_second_later()
    changed = [[key, f"{title}, дополнено", company] for key, title, company in ROWS]
    ended = desk.run_import(desk.table("d2.csv", HEADER, changed), desk.folder / "m.toml")
    assert ended.result["updated"] == 12, ended
    second = undone(desk, int(ended.result["run"]))
    assert (second.code, second.result["deleted"], len(deals(desk))) == (0, 0, 12), second
    assert "12 rows updated items that were there before" in second.stderr
    assert (undone(desk, run).result["deleted"], deals(desk)) == (13, {})


def test_product_rows_of_the_import_itself_are_no_touch(desk: Desk) -> None:
    mapping = MAPPING.replace('"Компания" = ', '"Товар" = "product_name"\n"Цена" = "product_price"\n"Компания" = ')
    mapping += 'currency = "RUB"\n'
    header = ["Id", "Название", "Товар", "Цена", "Компания"]
    file = desk.table("p.csv", header, [["1", "А", "Монтаж", "100", ""], ["2", "Б", "", "", ""]])
    ended = desk.run_import(file, desk.file("p.toml", mapping))
    assert (ended.code, ended.result["created"]) == (0, 2), ended
    end = undone(desk, int(ended.result["run"]))
    assert (end.result["deleted"], deals(desk)) == (2, {}), end


def test_only_the_rows_that_the_run_created_are_its_own(desk: Desk) -> None:
    imported(desk, ROWS[:5])
    more = desk.run_import(desk.table("more.csv", HEADER, ROWS), desk.folder / "m.toml")
    assert (more.result["created"], more.result["skipped"]) == (7, 5)
    (desk.folder / "store.db").unlink()
    found = desk.run_import(desk.folder / "more.csv", desk.folder / "m.toml")
    assert found.result["skipped"] == 12
    nothing = undone(desk, int(found.result["run"]))
    assert (nothing.code, nothing.result["deleted"], len(deals(desk))) == (0, 0, 12), nothing


def test_without_a_yes_nothing_is_deleted(desk: Desk) -> None:
    run = imported(desk)
    ended = desk.run("import", "undo", str(run))
    assert (ended.code, len(deals(desk))) == (2, 12), ended
    assert desk.run("import", "undo", "99", "--yes").code == 2
