"""Postal addresses of companies and contacts: one requisite and one address each, whatever happens on the way.

Judged by the sandbox's state.
"""

from __future__ import annotations

import csv
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from desk import Desk
from sandbox_process import SandboxProcess, running_sandbox

CONTACT, COMPANY = 3, 4
ACTUAL, HOME, LEGAL, DELIVERY = "1", "4", "6", "11"
COMPANIES = """
entity = "company"
originator = "old-crm"
key = "Id"
[columns]
"Название" = "title"
"Улица" = "address"
"Офис" = "address_2"
"Город" = "address_city"
"Индекс" = "address_postal_code"
"Вид" = { field = "address_type", map = { "склад" = "delivery" } }
[constants]
address_country = "Россия"
"""
HEADER = ["Id", "Название", "Улица", "Офис", "Город", "Индекс", "Вид"]
ROWS = [
    ["1", "ООО Ромашка", "Ленина 2", "701", "Тюмень", "625003", "legal"],
    ["2", "АО Вектор", "Мира 5", "", "Пермь", "614000", "склад"],
    ["3", "ИП Орлов", "Садовая 1", "", "", "", ""],
]


@contextmanager
def own_sandbox() -> Iterator[SandboxProcess]:
    costs = {"crm.requisite.add": 1.0, "crm.address.add": 1.0}
    with running_sandbox(scale=60, request_cap_s=120, costs=costs) as running:
        yield running


@pytest.fixture(scope="module")
def sandbox() -> Iterator[SandboxProcess]:
    with own_sandbox() as running:
        yield running


@pytest.fixture
def desk(sandbox: SandboxProcess, tmp_path: Path) -> Desk:
    sandbox.reset({})
    return Desk(tmp_path, sandbox)


def addresses(sandbox: SandboxProcess) -> list[tuple[int, str, str, str]]:
    """Owner, type, street and town of every address; each requisite has to hold exactly one."""
    found = []
    for requisite in sandbox.state("requisites"):
        (address,) = requisite["addresses"]
        told = [str(address.get(name) or "") for name in ("TYPE_ID", "ADDRESS_1", "CITY")]
        found.append((int(requisite["ENTITY_ID"]), told[0], told[1], told[2]))
    return sorted(found)


def ids(desk: Desk, entity_type_id: int) -> dict[str, Any]:
    return {str(item["originId"]): item["id"] for item in desk.items(entity_type_id, "originId,id")}


def expected(desk: Desk) -> list[tuple[int, str, str, str]]:
    own = ids(desk, COMPANY)
    return [
        (own["1"], LEGAL, "Ленина 2", "Тюмень"),
        (own["2"], DELIVERY, "Мира 5", "Пермь"),
        (own["3"], ACTUAL, "Садовая 1", ""),
    ]


def imported(desk: Desk) -> Any:
    return desk.run_import(desk.table("c.csv", HEADER, ROWS), desk.file("m.toml", COMPANIES))


def test_companies_get_their_addresses_once_and_an_undo_takes_them_along(desk: Desk) -> None:
    ended = imported(desk)
    assert (ended.code, ended.result["created"]) == (0, 3), ended
    assert addresses(desk.sandbox) == expected(desk)
    first = desk.sandbox.state("requisites")[0]
    assert (first["NAME"], first["addresses"][0]["COUNTRY"], first["addresses"][0]["ADDRESS_2"]) == (
        "Организация",
        "Россия",
        "701",
    )
    undone = desk.run("import", "undo", str(ended.result["run"]), "--yes", "--json")
    assert (undone.code, undone.result["deleted"], undone.result["kept"]) == (0, 3, 0), undone
    assert desk.sandbox.state("requisites") == []
    assert imported(desk).code == 0
    assert addresses(desk.sandbox) == expected(desk), "what was deleted may be imported again"
    assert desk.sandbox.figures()["spec_violations"] == 0


def test_addresses_whose_answers_are_lost_are_looked_up_and_not_written_twice(desk: Desk) -> None:
    for method in ("crm.requisite.add", "crm.address.add"):
        desk.sandbox.fault("cut_after", method, nth=1)
    ended = imported(desk)
    assert ended.code == 0, ended
    assert [fault["fired"] for fault in desk.sandbox.faults()] == [1, 1], "the faults did not bite"
    assert addresses(desk.sandbox) == expected(desk)


def test_an_export_of_contacts_brings_their_addresses(desk: Desk) -> None:
    header = ["ID", "Имя", "Фамилия", "Рабочий телефон", "Ответственный", "Адрес"]
    file = desk.table("contacts.csv", header, [["7", "Анна", "Орлова", "+7 495 123-45-67", "", "Москва, Тверская 1"]])
    ended = desk.run("import", "run", file, "--yes", "--json")
    assert (ended.code, ended.result["created"]) == (0, 1), ended
    assert addresses(desk.sandbox) == [(ids(desk, CONTACT)["7"], ACTUAL, "Москва, Тверская 1", "")]
    assert [row["NAME"] for row in desk.sandbox.state("requisites")] == ["Физ. лицо"]


@pytest.mark.parametrize("conflict", ["keep", "refuse"])
def test_a_second_run_makes_none_twice_leaves_those_there_and_refuses_a_wrong_type(desk: Desk, conflict: str) -> None:
    assert imported(desk).code == 0
    desk.configure(f'[import]\nconflict = "{conflict}"\n')
    rows = [["1", "ООО Ромашка и Ко", "Другая 9", "", "", "", "home"], ROWS[1], ["3", "ИП Орлов", "Иная 2", *[""] * 4]]
    rows.append(["9", "АО Север", "Лесная 3", "", "", "", "дача"])
    ended = desk.run_import(desk.table("d.csv", HEADER, rows), desk.file("m.toml", COMPANIES))
    fates = ended.result["skipped"], ended.result["refused"]
    assert (ended.code, fates) == (3, (3, 1) if conflict == "keep" else (0, 4)), ended
    assert "a type of address: actual, home" in ended.stderr
    assert addresses(desk.sandbox) == expected(desk)


def test_a_type_alone_is_no_address_and_none_is_lacking(desk: Desk) -> None:
    file = desk.table("c.csv", HEADER, [["1", "ООО Ромашка", "", "", "", "", "legal"]])
    mapping = desk.file("m.toml", COMPANIES.replace('[constants]\naddress_country = "Россия"', ""))
    assert desk.run_import(file, mapping).code == 0
    again = desk.run_import(file, mapping)
    assert (again.code, again.result["skipped"], "lack" in again.stderr) == (0, 1, False), again
    assert desk.sandbox.state("requisites") == []


OVERWRITE = '[import]\nconflict = "overwrite"\nmax_change_share = 1.0\n'


def nested(sandbox: SandboxProcess, method: str) -> int:
    """How often a method was executed, alone or in a batch."""
    return sum(row[1] == method for call in sandbox.calls() for row in call["nested"] or [("", call["method"])])


def test_with_overwrite_what_differs_of_an_address_is_changed_and_what_lacks_is_added(desk: Desk) -> None:
    """The first row moves; of the second another type is told; somebody has deleted the third one's requisite."""
    assert imported(desk).code == 0
    own, requisites = ids(desk, COMPANY), {str(row["ENTITY_ID"]): row["ID"] for row in desk.sandbox.state("requisites")}
    first, second, third = (str(requisites[str(own[key])]) for key in "123")
    place = {"TYPE_ID": LEGAL, "ENTITY_TYPE_ID": 8, "ENTITY_ID": first}
    assert desk.sandbox.rest("crm.address.update", {"fields": {**place, "REGION": "По Ленина"}})["result"] is True
    assert desk.sandbox.rest("crm.requisite.delete", {"id": third})["result"] is True
    rows = [["1", "ООО Ромашка", "Ленина 3", "701", "Тюмень", "625003", "legal"]]
    rows += [["2", "АО Вектор", "Мира 5", "", "Пермь", "614000", "legal"], ROWS[2]]
    file, mapping = desk.table("d.csv", HEADER, rows), desk.file("m.toml", COMPANIES)
    desk.configure('[import]\nconflict = "overwrite"\nmax_change_share = 0.3\n')
    stopped = desk.run_import(file, mapping)
    assert stopped.code == 2 and "3 of 3 existing items would change (100%)" in stopped.stderr, stopped
    desk.configure(OVERWRITE)
    changes, updates = nested(desk.sandbox, "crm.address.update"), nested(desk.sandbox, "crm.item.update")
    ended = desk.run_import(file, mapping)
    assert (ended.code, ended.result["updated"], ended.result["skipped"]) == (0, 3, 0), ended
    assert "changes: address 3" in ended.stderr
    assert nested(desk.sandbox, "crm.address.update") == changes + 1
    assert nested(desk.sandbox, "crm.item.update") == updates, "nothing of the companies themselves differs"
    held = {str(row["ID"]): row["addresses"] for row in desk.sandbox.state("requisites")}
    assert set(held) >= {first, second} and len(held) == 3
    (moved,) = held.pop(first)
    assert (moved["ADDRESS_1"], moved["CITY"], moved["REGION"]) == ("Ленина 3", "Тюмень", "По Ленина")
    assert sorted((str(row["TYPE_ID"]), row["ADDRESS_1"]) for row in held.pop(second)) == [
        (DELIVERY, "Мира 5"),
        (LEGAL, "Мира 5"),
    ]
    ((lost,),) = held.values()
    assert lost["ADDRESS_1"] == "Садовая 1"
    again = desk.run_import(file, mapping)
    assert (again.code, again.result["updated"], again.result["skipped"]) == (0, 0, 3), again
    assert desk.sandbox.figures()["spec_violations"] == 0


def test_what_the_portal_does_not_keep_of_an_address_is_told_after_reading_back(desk: Desk) -> None:
    assert imported(desk).code == 0
    desk.configure(OVERWRITE)
    rows = [["1", "ООО Ромашка", "Я" * 300, "701", "Тюмень", "625003", "legal"], *ROWS[1:]]
    ended = desk.run_import(desk.table("d.csv", HEADER, rows), desk.file("m.toml", COMPANIES))
    assert ended.code == 3, ended
    assert "NOT_KEPT" in ended.stderr and "ADDRESS_1: sent" in ended.stderr
    fates = desk.folder / "fates.csv"
    assert desk.run("import", "report", str(ended.result["run"]), fates).code == 0
    (told,) = [line for line in fates.read_text(encoding="utf-8").splitlines() if "INCOMPLETE" in line]
    assert ",updated," in told and "its address was not set" in told


def many(street: str, *more: int) -> list[list[str]]:
    numbers = [*range(1, 61), *more]
    return [[str(n), f"ООО {n}", f"{street} {n}", "", "Пермь", "", ""] for n in numbers]


def streets(desk: Desk, street: str, last: int = 60) -> list[tuple[int, str, str, str]]:
    own = ids(desk, COMPANY)
    return sorted((own[str(n)], ACTUAL, f"{street} {n}", "Пермь") for n in range(1, last + 1))


@pytest.mark.waits
@pytest.mark.parametrize("corrected", [False, True], ids=["the same file", "a corrected file"])
def test_changes_of_addresses_survive_a_kill_and_a_lost_answer(tmp_path: Path, corrected: bool) -> None:
    with own_sandbox() as sandbox:
        changes_survive(Desk(tmp_path, sandbox), corrected=corrected)


def changes_survive(desk: Desk, *, corrected: bool) -> None:
    mapping = desk.file("m.toml", COMPANIES)
    assert desk.run_import(desk.table("a.csv", HEADER, many("Улица")), mapping).code == 0
    desk.configure(OVERWRITE)
    file = desk.table("b.csv", HEADER, many("Проспект"))
    desk.sandbox.fault("hang_after", "crm.address.update", nth=2, params={"hang_s": 30})
    running = desk.start("import", "run", file, "--mapping", mapping, "--yes", "--json")
    until = time.monotonic() + 60

    def moved() -> int:
        return sum(row[2].startswith("Проспект") for row in addresses(desk.sandbox))

    while running.alive and moved() < 60 and time.monotonic() < until:
        time.sleep(0.02)
    assert running.kill(), "the kill came too late"
    (fault,) = desk.sandbox.faults()
    assert fault["fired"] == 1, "the fault did not bite"
    desk.sandbox.clear_faults()
    if corrected:
        file = desk.table("c.csv", HEADER, many("Шоссе", 61))
    desk.sandbox.fault("cut_after", "crm.address.update", nth=1)
    ended = desk.run_import(file, mapping)
    assert ended.code == 0, ended
    assert addresses(desk.sandbox) == (streets(desk, "Шоссе", 61) if corrected else streets(desk, "Проспект"))
    assert len(desk.items(COMPANY, "id")) == 60 + corrected
    again = desk.run_import(file, mapping)
    assert (again.code, again.result["updated"]) == (0, 0), again


def test_two_imports_at_once_add_the_addresses_that_items_lack_once_each(desk: Desk) -> None:
    bare = COMPANIES.split("[columns]")[0] + '[columns]\n"Название" = "title"\n[missing]\ncolumns = "ignore"\n'
    mapping, bare_mapping = desk.file("m.toml", COMPANIES), desk.file("bare.toml", bare)
    files = [desk.table(f"{name}.csv", HEADER, many("Улица")[::step]) for name, step in (("b", 1), ("c", -1))]
    for attempt in range(5):
        desk.sandbox.reset({})
        (desk.folder / f"{attempt}").mkdir()
        again = Desk(desk.folder / f"{attempt}", desk.sandbox, OVERWRITE)
        assert again.run_import(files[0], bare_mapping).result["created"] == 60
        running = [again.start("import", "run", file, "--mapping", mapping, "--yes", "--json") for file in files]
        ended = [one.ended() for one in running]
        assert [one.code for one in ended] == [0, 0], ended
        assert addresses(again.sandbox) == streets(again, "Улица")
        if [one.result["updated"] for one in ended] == [60, 60]:
            return  # both had planned them before either wrote one
    pytest.fail("they were never at work at the same time")


@pytest.mark.waits
def test_items_of_a_killed_command_get_their_addresses_from_the_corrected_file(tmp_path: Path) -> None:
    slow = dict.fromkeys(("crm.item.import", "crm.item.batchImport"), 1.8)
    with running_sandbox(scale=60, request_cap_s=120, costs=slow) as sandbox:
        # Each row has an answer of its own: what is made is known to be before the next are sent.
        desk = Desk(tmp_path, sandbox, '[import]\nway = "single_import"')
        mapping = desk.file("m.toml", COMPANIES)
        file = desk.table("a.csv", HEADER, many("Улица", *range(61, 201)))
        running = desk.start("import", "run", file, "--mapping", mapping, "--yes")
        until = time.monotonic() + 60
        while running.alive and desk.made("company@old-crm") < 20 and time.monotonic() < until:
            time.sleep(0.02)
        assert running.kill(), "the kill came too late"
        assert sandbox.wait_idle()
        assert (
            desk.made("company@old-crm") >= 20
            and len(desk.items(COMPANY, "id")) < 200
            and sandbox.state("requisites") == []
        )
        corrected = desk.table("b.csv", HEADER, many("Проспект", *range(61, 202)))
        ended = desk.run_import(corrected, mapping)
        assert ended.code == 0, ended
        assert len(desk.items(COMPANY, "id")) == 201
        assert addresses(sandbox) == streets(desk, "Проспект", 201)
        assert "lack product rows" not in desk.run_import(corrected, mapping).stderr


@pytest.mark.parametrize("by_hand", [False, True], ids=["lacking", "entered by hand meanwhile"])
def test_addresses_that_the_portal_refuses_are_told_and_their_items_stay(desk: Desk, by_hand: bool) -> None:
    said = {"code": "", "text": "Access denied.", "which": "one"}
    desk.sandbox.fault("nested_error", "crm.address.add", nth=1, params=said)
    ended = imported(desk)
    assert ended.code == 3, ended
    assert "the portal refused the addresses of 1 items; the items are there" in ended.stderr
    assert "Access denied." in ended.stderr
    assert len(desk.items(COMPANY, "id")) == 3
    fates = desk.folder / "fates.csv"
    assert desk.run("import", "report", str(ended.result["run"]), fates).code == 0
    told = [line for line in fates.read_text(encoding="utf-8").splitlines() if "INCOMPLETE" in line]
    assert len(told) == 1 and ",created," in told[0] and "Access denied." in told[0], told
    assert sum(len(requisite["addresses"]) for requisite in desk.sandbox.state("requisites")) == 2
    if by_hand:
        (bare,) = [requisite for requisite in desk.sandbox.state("requisites") if not requisite["addresses"]]
        place = {"TYPE_ID": HOME, "ENTITY_TYPE_ID": 8, "ENTITY_ID": bare["ID"], "ADDRESS_1": "Вписал сам"}
        assert desk.sandbox.rest("crm.address.add", {"fields": place})["result"] is True
    again = imported(desk)  # the cause is mended: the same command brings the one that is lacking, and only that
    assert (again.code, again.result["created"], again.result["skipped"]) == (0, 0, 3), again
    assert ("1 of those there lack product rows or addresses" in again.stderr) != by_hand
    entered = {(int(bare["ENTITY_ID"]), HOME, "Вписал сам", "")} if by_hand else set()
    owners = {row[0] for row in entered}
    assert set(addresses(desk.sandbox)) == {row for row in expected(desk) if row[0] not in owners} | entered
    assert "lack product rows" not in imported(desk).stderr


def test_addresses_are_set_once_each_whatever_kills_the_command(desk: Desk) -> None:
    rows = [[str(n), f"ООО {n}", f"Улица {n}", "", "Пермь", "", ""] for n in range(1, 61)]
    file, mapping = desk.table("c.csv", HEADER, rows), desk.file("m.toml", COMPANIES)

    def written() -> int:
        return sum(1 + len(requisite["addresses"]) for requisite in desk.sandbox.state("requisites"))

    killed = 0
    for wanted in (10, 70):
        running = desk.start("import", "run", file, "--mapping", mapping, "--yes", "--json")
        until = time.monotonic() + 60
        while running.alive and written() < wanted and time.monotonic() < until:
            time.sleep(0.02)
        killed += running.kill() and written() < 120
    assert killed >= 1, "the kills came too late"
    ended = desk.run_import(file, mapping)
    assert ended.code == 0, ended
    own = ids(desk, COMPANY)
    assert len(own) == len(desk.items(COMPANY, "id")) == 60
    assert addresses(desk.sandbox) == sorted((own[str(n)], ACTUAL, f"Улица {n}", "Пермь") for n in range(1, 61))
    for requisite in desk.sandbox.state("requisites")[:5]:
        place = {"TYPE_ID": LEGAL, "ENTITY_TYPE_ID": 8, "ENTITY_ID": requisite["ID"], "CITY": "Пермь"}
        assert desk.sandbox.rest("crm.address.add", {"fields": place})["result"] is True
    exported = desk.run("export", "company", desk.folder / "all.csv")  # more addresses than a page has lines
    assert exported.code == 0 and "a row holds one address: 5 more" in exported.stderr, exported
    with (desk.folder / "all.csv").open(encoding="utf-8-sig", newline="") as stream:
        streets = {row["origin_id"]: row["address"] for row in csv.DictReader(stream)}
    assert streets == {str(n): f"Улица {n}" for n in range(1, 61)}
