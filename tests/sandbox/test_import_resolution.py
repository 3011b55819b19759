"""Names, histories and values that a portal would swallow: resolved, kept or refused by us. Judged by the sandbox."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from desk import Desk
from sandbox_process import SandboxProcess, running_sandbox

VISIT = 1032
SEED: dict[str, Any] = {
    "categories": [{"name": "Продажи", "stages": [{"name": "Новая"}, {"name": "Двойник"}, {"name": "Двойник"}]}],
    "users": [
        {"ID": 71, "NAME": "Вера", "LAST_NAME": "Зимина", "EMAIL": "vera@example.com", "ACTIVE": True},
        {"ID": 72, "NAME": "Глеб", "LAST_NAME": "Уволенный", "EMAIL": "gleb@example.com", "ACTIVE": False},
    ],
    "userfields": [{"ENTITY_ID": "CRM_DEAL", "FIELD_NAME": "SOURCE_DATE", "USER_TYPE_ID": "datetime"}],
    "types": [{"entityTypeId": VISIT, "title": "Выезд", "isStagesEnabled": "N"}],
}


@pytest.fixture(scope="module")
def sandbox() -> Iterator[SandboxProcess]:
    with running_sandbox(plan="off", seed=SEED) as running:
        yield running


@pytest.fixture
def desk(sandbox: SandboxProcess, tmp_path: Path) -> Desk:
    sandbox.reset(SEED)
    return Desk(tmp_path, sandbox)


def mapping_of(columns: str, entity: str = "deal", more: str = "") -> str:
    return f'entity = "{entity}"\noriginator = "old-crm"\nkey = "Id"\n[columns]\n{columns}\n{more}'


def added(desk: Desk, entity_type_id: int, **fields: Any) -> int:
    answer = desk.sandbox.rest("crm.item.add", {"entityTypeId": entity_type_id, "fields": fields})
    return int(answer["result"]["item"]["id"])


def test_a_contact_is_known_by_external_id_then_by_phone_or_mail_then_by_its_exact_name(desk: Desk) -> None:
    phone = {"typeId": "PHONE", "valueType": "WORK", "value": "+79001112233"}
    mail = {"typeId": "EMAIL", "valueType": "WORK", "value": "k-1@example.com"}
    by_origin = added(desk, 3, name="Первый", originatorId="old-crm", originId="k-1")
    by_phone = added(desk, 3, name="Второй", fm=[phone])
    by_mail = added(desk, 3, name="Третий", fm=[mail])
    by_name = added(desk, 3, name="Анна", lastName="Ким")
    for number in range(2):
        added(desk, 3, name="Двойной", lastName="Тёзка", post=str(number))
    rows = [["1", "k-1"], ["2", "+79001112233"], ["3", "k-1@example.com"], ["4", "анна  ким"], ["5", "Двойной Тёзка"]]
    rows += [["6", "Анна Кин"], ["7", "Новый Человек"]]
    file = desk.table("d.csv", ["Id", "Контакт"], rows)
    ended = desk.run_import(file, desk.file("m.toml", mapping_of('"Контакт" = "contact"')))
    assert (ended.code, ended.result["created"], ended.result["refused"]) == (3, 4, 3), ended
    deals: list[Any] = desk.items(2, "originId,contactIds")
    found = {deal["originId"]: deal["contactIds"] for deal in deals}
    assert found == {"1": [by_origin], "2": [by_phone], "3": [by_mail], "4": [by_name]}
    assert 'line 6: column "Контакт": contact "Двойной Тёзка" means 2 items' in ended.stderr
    assert 'line 7: column "Контакт": contact "Анна Кин" is not in the portal; nearest: Анна Ким' in ended.stderr
    assert 'line 8: column "Контакт": contact "Новый Человек" is not in the portal' in ended.stderr


def test_a_name_that_means_two_things_is_told_with_their_ids_and_an_id_says_which(desk: Desk) -> None:
    ids = [row["status_id"] for row in desk.sandbox.state("stages") if row["name"] == "Двойник"]
    file = desk.table("d.csv", ["Id", "Стадия"], [["1", "двойник"], ["2", ids[1]]])
    mapping = mapping_of('"Стадия" = "stage"', more='[constants]\npipeline = "Продажи"\n')
    ended = desk.run_import(file, desk.file("m.toml", mapping))
    assert (ended.code, ended.result["created"], ended.result["refused"]) == (3, 1, 1), ended
    assert f'stage "двойник" means 2 stages (ids {ids[0]}, {ids[1]}): give the id' in ended.stderr
    deals: list[Any] = desk.items(2, "originId,stageId")
    assert [(deal["originId"], deal["stageId"]) for deal in deals] == [("2", ids[1])]


def test_a_dismissed_user_is_replaced_by_the_mappings_default_but_stays_an_author(desk: Desk) -> None:
    columns = '"Кто" = { field = "assigned_by", default = "vera@example.com" }\n"Автор" = "created_by"\n'
    columns += '"Когда" = "created_time"'
    file = desk.table(
        "d.csv", ["Id", "Кто", "Автор", "Когда"], [["1", "gleb@example.com", "Глеб Уволенный", "2024-01-01"]]
    )
    ended = desk.run_import(file, desk.file("m.toml", mapping_of(columns)))
    assert (ended.code, ended.result["created"]) == (0, 1), ended
    deal: Any = desk.items(2, "assignedById,createdBy,createdTime")[0]
    assert (deal["assignedById"], deal["createdBy"]) == (71, 72)
    assert deal["createdTime"].startswith("2024-01-01T00:00")


def test_fields_that_a_smart_process_does_not_have_are_refused_before_anything_is_sent(desk: Desk) -> None:
    columns = '"Название" = "title"\n"Стадия" = "stage"\n"Сделка" = "parent_id_2"'
    file = desk.table("v.csv", ["Id", "Название", "Стадия", "Сделка"], [["1", "Выезд", "Новая", ""]])
    ended = desk.run_import(file, desk.file("m.toml", mapping_of(columns, f"item:{VISIT}")))
    assert ended.code == 78, ended
    assert "has no field stageId: it would be dropped" in ended.stderr and "parentId2" in ended.stderr
    assert desk.sandbox.figures()["items"].get(f"DYNAMIC_{VISIT}", 0) == 0


def as_no_administrator(desk: Desk) -> None:
    """From now on with the webhook of a user who is none."""
    hook = desk.sandbox.post("webhooks", {"user_id": 71, "secret": "noadministrator1"})
    config = desk.folder / "config.toml"
    config.write_text(config.read_text(encoding="utf-8").replace(desk.sandbox.url, hook["url"]), encoding="utf-8")


HISTORY = '"Название" = "title"\n"Создана" = { field = "created_time", format = "%d.%m.%Y" }\n"Автор" = "created_by"'
HISTORY_ROWS = [[str(n), f"Сделка {n}", f"{n % 28 + 1:02d}.01.2024", "vera@example.com"] for n in range(1, 61)]
HISTORY_HEADER = ["Id", "Название", "Создана", "Автор"]


@pytest.mark.parametrize("way", ["batch_import", "single_import"])
def test_a_webhook_that_may_not_set_times_keeps_them_in_the_fallback_field_and_says_so(desk: Desk, way: str) -> None:
    desk.configure(f'[import]\nway = "{way}"\nhistory_fallback = "UF_CRM_SOURCE_DATE"')
    as_no_administrator(desk)
    file = desk.table("d.csv", HISTORY_HEADER, HISTORY_ROWS)
    ended = desk.run_import(file, desk.file("m.toml", mapping_of(HISTORY)))
    assert (ended.code, ended.result["created"]) == (0, 60), ended
    assert "60 rows without their times and authors, which the portal refused" in ended.stderr
    held: list[Any] = desk.items(2, "originId,createdTime,UF_CRM_SOURCE_DATE")
    kept = {deal["originId"]: deal["UF_CRM_SOURCE_DATE"][:10] for deal in held}
    assert kept == {row[0]: "-".join(reversed(row[2].split("."))) for row in HISTORY_ROWS}
    assert desk.sandbox.figures()["duplicates_total"] == 0


def test_times_kept_aside_are_no_difference_when_the_file_comes_again(desk: Desk) -> None:
    more = 'history_fallback = "UF_CRM_SOURCE_DATE"\nconflict = "overwrite"\nmax_change_share = 1.0'
    desk.configure(f"[import]\n{more}")
    mapping = desk.file("m.toml", mapping_of(HISTORY))
    assert desk.run_import(desk.table("d.csv", HISTORY_HEADER, HISTORY_ROWS[20:40]), mapping).code == 0
    ended = desk.run_import(desk.table("d2.csv", HISTORY_HEADER, HISTORY_ROWS[:40]), mapping)
    assert (ended.code, ended.result["created"], ended.result["skipped"]) == (0, 20, 20), ended
    again = desk.run_import(desk.folder / "d2.csv", mapping)
    assert (again.result["updated"], again.result["skipped"]) == (0, 40), again


def test_without_a_fallback_field_the_refusal_says_what_to_do(desk: Desk) -> None:
    as_no_administrator(desk)
    file = desk.table("d.csv", HISTORY_HEADER, HISTORY_ROWS[:3])
    ended = desk.run_import(file, desk.file("m.toml", mapping_of(HISTORY)))
    assert (ended.code, ended.result["refused"]) == (3, 3), ended
    assert "times and authors only from administrators: [import] history_fallback" in ended.stderr


def test_times_and_authors_are_not_sent_where_the_way_would_drop_them(desk: Desk) -> None:
    desk.configure('[import]\nway = "add"')
    file = desk.table("d.csv", HISTORY_HEADER, HISTORY_ROWS[:1])
    ended = desk.run_import(file, desk.file("m.toml", mapping_of(HISTORY)))
    assert ended.code == 78 and 'created_by, created_time: way = "add" cannot set them' in ended.stderr, ended


PHONES = '"Имя" = "name"\n"Телефон" = { field = "phone", value_type = "MOBILE" }'


def phones_of(desk: Desk) -> dict[str, list[tuple[str, str]]]:
    contacts: list[Any] = desk.items(3, "originId,fm")
    return {one["originId"]: [(row["valueType"], row["value"]) for row in one["fm"] or []] for one in contacts}


@pytest.fixture
def form(request: pytest.FixtureRequest, desk: Desk) -> Iterator[str]:
    """The portal's import takes phones in this form only."""
    desk.sandbox.switch(import_multifields=request.param)
    yield str(request.param)
    desk.sandbox.switch(import_multifields="both")


@pytest.mark.parametrize("form", ["fm", "classic"], indirect=True)
def test_phones_arrive_once_whichever_form_the_portals_import_takes(desk: Desk, form: str) -> None:
    rows = [["c0", "Без", ""], *([f"c{n}", f"Имя {n}", f"+7 900 {n:07d}"] for n in range(1, 31))]
    file = desk.table("c.csv", ["Id", "Имя", "Телефон"], rows)
    ended = desk.run_import(file, desk.file("c.toml", mapping_of(PHONES, "contact")))
    assert (ended.code, ended.result["created"]) == (0, 31), (form, ended)
    assert phones_of(desk) == {key: [("MOBILE", phone)] if phone else [] for key, _, phone in rows}


@pytest.mark.parametrize(("form", "way"), [("fm", "auto"), ("classic", "auto"), ("fm", "add")], indirect=["form"])
def test_a_contact_that_is_made_for_an_address_has_it(desk: Desk, form: str, way: str) -> None:
    desk.configure(f'[import]\nway = "{way}"')
    addresses = ["anna@example.com", "+7 900 111-22-33", "vera@example.com"]
    columns = '"Контакт" = { field = "contact", create = true }'
    file = desk.table("d.csv", ["Id", "Контакт"], [[str(n), one] for n, one in enumerate(addresses)])
    ended = desk.run_import(file, desk.file("m.toml", mapping_of(columns)))
    assert (ended.code, ended.result["created"]) == (0, 3), (form, ended)
    assert sorted(value for rows in phones_of(desk).values() for _, value in rows) == sorted(addresses)
    file = desk.table("d2.csv", ["Id", "Контакт"], [["9", addresses[0]]])
    assert desk.run_import(file, desk.file("m.toml", mapping_of(columns))).result["created"] == 1
    assert len(desk.items(3, "id")) == 3


@pytest.mark.parametrize("form", ["fm"], indirect=True)
def test_killed_before_the_first_phones_were_added_the_next_run_adds_them(desk: Desk, form: str) -> None:
    desk.configure('[import]\nway = "single_import"')
    rows = [[f"c{n}", f"Имя {n}", f"+7 900 {n:07d}"] for n in range(1, 4)]
    file = desk.table("c.csv", ["Id", "Имя", "Телефон"], rows)
    mapping = desk.file("c.toml", mapping_of(PHONES, "contact"))
    # The first list counts what is there, the second reads the row back.
    desk.sandbox.fault("hang_before", "crm.item.list", nth=2, params={"hang_s": 20})
    running = desk.start("import", "run", file, "--mapping", mapping, "--yes", "--json")
    while running.alive and not desk.sandbox.faults()[-1]["fired"]:
        time.sleep(0.02)
    assert running.kill(), "ended too early"
    assert phones_of(desk) == {"c1": []}, (form, "killed at another moment")
    ended = desk.run_import(file, mapping)
    assert (ended.code, ended.result["created"]) == (0, 3), ended
    assert phones_of(desk) == {key: [("MOBILE", phone)] for key, _, phone in rows}


@pytest.mark.parametrize("form", ["fm"], indirect=True)
def test_phones_that_the_portal_refuses_stand_in_the_rows_fate(desk: Desk, form: str) -> None:
    rows = [[f"c{n}", f"Имя {n}", f"+7 900 {n:07d}"] for n in range(1, 4)]
    file = desk.table("c.csv", ["Id", "Имя", "Телефон"], rows)
    desk.sandbox.fault("nested_error", "crm.item.update", params={"code": "ACCESS_DENIED", "text": "Нет прав"})
    ended = desk.run_import(file, desk.file("c.toml", mapping_of(PHONES, "contact")))
    assert (desk.sandbox.faults()[-1]["fired"], ended.result["created"]) == (1, 3), (form, ended)
    assert phones_of(desk) == {key: [("MOBILE", phone)] if key != "c1" else [] for key, _, phone in rows}
    out = desk.folder / "fates.csv"
    desk.run("import", "report", str(ended.result["run"]), out)
    told = [line for line in out.read_text(encoding="utf-8").splitlines() if "INCOMPLETE" in line]
    assert len(told) == 1 and told[0].startswith("2,c1,created,") and "ACCESS_DENIED Нет прав" in told[0], told
