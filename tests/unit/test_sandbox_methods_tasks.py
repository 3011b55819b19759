"""Tasks of the sandbox: states, control, rights, bindings, tags, both cards and their comments, notifications."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from portal_calls import Calls

DEADLINE = "2026-01-05T18:00:00+03:00"
BODY = base64.b64encode(b"contract").decode()


@pytest.fixture
def portal() -> Calls:
    return Calls()


def new_task(portal: Calls, **fields: Any) -> int:
    answer = portal.result("tasks.task.add", fields={"TITLE": "Позвонить", "RESPONSIBLE_ID": 5, **fields})
    return int(answer["task"]["id"])


def task(portal: Calls, task_id: int, *select: str) -> dict[str, Any]:
    answer = portal.result("tasks.task.get", taskId=task_id, **({"select": list(select)} if select else {}))
    return dict(answer["task"])


def act(portal: Calls, name: str, task_id: int) -> str:
    return str(portal.result(f"tasks.task.{name}", taskId=task_id)["task"]["status"])


def found(portal: Calls, **tree: Any) -> list[int]:
    answer = portal.result("tasks.task.list", filter=tree, select=["ID"])
    return [int(row["id"]) for row in answer["tasks"]]


# -- fields -----------------------------------------------------------------------------------
def test_a_task_is_written_in_capitals_and_read_in_camel_case(portal: Calls) -> None:
    deal = portal.add()
    made = new_task(portal, DEADLINE=DEADLINE, UF_CRM_TASK=[f"D_{deal}", "X_1"], TAGS=["b24sync-1", "сделка"])
    row = task(portal, made)
    assert (row["id"], row["responsibleId"], row["status"], row["deadline"]) == (str(made), "5", "2", DEADLINE)
    assert (row["group"], row["groupId"], row["auditorsData"], row["createdBy"]) == ([], "0", [], "1")
    assert "ufCrmTask" not in row
    named = task(portal, made, "ID", "UF_CRM_TASK", "TAGS")
    assert (named["ufCrmTask"], named["ufTaskWebdavFiles"]) == ([f"D_{deal}"], False)
    assert [one["title"] for one in named["tags"].values()] == ["b24sync-1", "сделка"]
    assert portal.result("tasks.task.getFields")["fields"]["TITLE"]["required"] is True


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"TITLE": ""}, "Не указано название задачи<br>"),
        ({"RESPONSIBLE_ID": ""}, "Не указан исполнитель<br>"),
        ({"RESPONSIBLE_ID": 999}, 'Пользователь указанный в поле "Исполнитель" не найден<br>'),
        ({"STATUS": 9}, "Некорректный статус<br>"),
        ({"PARENT_ID": 99}, 'Задача указанная в поле "Надзадача" не найдена<br>'),
        ({"GROUP_ID": 99}, "Группа не найдена<br>"),
    ],
)
def test_wrong_tasks_are_refused(portal: Calls, change: dict[str, Any], text: str) -> None:
    fields = {"TITLE": "x", "RESPONSIBLE_ID": 5, **change}
    assert portal.refusal("tasks.task.add", fields=fields)[:2] == ("ERROR_CORE", text)


def test_missing_and_forbidden_tasks_are_an_empty_list(portal: Calls) -> None:
    made = new_task(portal)
    assert portal.result("tasks.task.get", taskId=99) == []
    portal.user_id = 11
    assert portal.result("tasks.task.get", taskId=made) == []
    assert portal.refusal("tasks.task.update", taskId=made, fields={"TITLE": "y"})[0] == "0"
    portal.user_id = 3
    assert task(portal, made)["id"] == str(made)
    assert portal.refusal("tasks.task.get", taskId="x")[1] == "wrong task id"
    assert portal.refusal("tasks.task.get")[0] == "100"
    assert portal.refusal("tasks.task.get", taskId=made, select="ID")[0] == "100"


def test_tasks_are_found_by_tag_binding_and_status(portal: Calls) -> None:
    deal = portal.add()
    first = new_task(portal, TAGS="b24sync-1", UF_CRM_TASK=[f"D_{deal}"])
    second = new_task(portal, TAGS=["b24sync-2"], DEADLINE="2025-12-31T10:00:00+03:00")
    assert (found(portal, TAG="b24sync-1"), found(portal, UF_CRM_TASK=f"D_{deal}")) == ([first], [first])
    assert found(portal, TAG=["b24sync-1", "b24sync-2"]) == [second, first]
    assert (found(portal, ID=[first, 99]), found(portal, STATUS=-1), found(portal, **{">ID": first})) == (
        [first],
        [second],
        [second],
    )
    act(portal, "start", first)
    assert (found(portal, REAL_STATUS=3), found(portal, REAL_STATUS=[2, 3])) == ([first], [second, first])
    portal.result("tasks.task.update", taskId=first, fields={"TAGS": ["other"]})
    assert (found(portal, TAG="b24sync-1"), found(portal, TAG="other")) == ([], [first])
    row = portal.result("tasks.task.list", select=["ID"])["tasks"][0]
    assert (row["group"], row["subStatus"]) == ([], "-1")
    assert portal.refusal("tasks.task.list", order={"NOPE": "asc"})[0] == "0"
    assert portal.portal.figures()["tasks"]["surplus_tags"] == 0


def test_a_filter_key_in_small_letters_is_no_filter(portal: Calls) -> None:
    first, second = new_task(portal), new_task(portal)
    assert found(portal, **{">id": first}) == [second, first]
    portal.switches.task_filter_case = False
    assert found(portal, **{">id": first}) == [second]


def test_a_portal_adds_fields_to_its_tasks(portal: Calls) -> None:
    number = portal.result("task.item.userfield.add", PARAMS={"USER_TYPE_ID": "string", "FIELD_NAME": "KEY"})
    made = new_task(portal, UF_KEY="a", UF_NOPE="b")
    assert task(portal, made, "ID", "UF_KEY", "UF_NOPE") == {"id": str(made), "ufKey": "a"}
    assert portal.result("task.item.userfield.getlist", FILTER={"FIELD_NAME": "UF_KEY"})[0]["ID"] == str(number)
    for bad in ({"USER_TYPE_ID": "enumeration", "FIELD_NAME": "X"}, {"USER_TYPE_ID": "string", "FIELD_NAME": "UF_KEY"}):
        assert portal.refusal("task.item.userfield.add", PARAMS=bad)[0] == "ERROR_CORE"
    assert portal.result("task.item.userfield.delete", ID=number) is True
    assert portal.refusal("task.item.userfield.get", ID=number)[0] == "ERROR_CORE"


def test_fifty_tasks_are_a_page(portal: Calls) -> None:
    for _ in range(51):
        new_task(portal)
    page = portal.call("tasks.task.list", order={"ID": "asc"}, select=["ID"])
    assert (len(page.result["tasks"]), page.total, page.next) == (50, 51, 50)
    assert portal.call("tasks.task.list", start=50).next is None


def test_a_smart_process_must_allow_tasks(portal: Calls) -> None:
    linked = {"TASKS_TASK|UF_CRM_TASK": "true"}
    shut = portal.result("crm.type.add", fields={"title": "А"})["type"]["entityTypeId"]
    fields = {"title": "Б", "isUseInUserfieldEnabled": "Y", "linkedUserFields": linked}
    open_one = portal.result("crm.type.add", fields=fields)["type"]["entityTypeId"]
    made = new_task(portal, UF_CRM_TASK=[f"T{shut:x}_1", f"T{open_one:x}_1"])
    assert task(portal, made, "UF_CRM_TASK")["ufCrmTask"] == [f"T{open_one:x}_1"]


# -- states -----------------------------------------------------------------------------------
def test_a_task_passes_through_its_states(portal: Calls) -> None:
    made = new_task(portal)
    portal.user_id = 5
    assert [act(portal, name, made) for name in ("start", "pause", "defer", "renew", "start", "complete")] == [
        "3",
        "2",
        "6",
        "2",
        "3",
        "5",
    ]
    row = task(portal, made)
    assert (row["closedBy"], row["dateStart"] is None) == ("5", False)
    assert portal.refusal("tasks.task.complete", taskId=made)[:2] == ("0", "Действие над задачей не разрешено")
    assert portal.refusal("tasks.task.pause", taskId=made)[0] == "1048582"
    rows = portal.result("tasks.task.history.list", taskId=made, filter={"FIELD": "STATUS"})["list"]
    assert [(one["value"]["from"], one["value"]["to"]) for one in rows][-1] == (3, 5)
    assert rows[-1]["user"]["id"] == 5
    assert act(portal, "renew", made) == "2"
    assert task(portal, made)["closedDate"] is None


def test_a_controlled_task_waits_for_its_creator(portal: Calls) -> None:
    made = new_task(portal, TASK_CONTROL="Y")
    portal.user_id = 5
    assert act(portal, "complete", made) == "4"
    assert portal.refusal("tasks.task.approve", taskId=made)[0] == "1048582"
    portal.user_id = 1
    assert act(portal, "disapprove", made) == "2"
    portal.user_id = 5
    act(portal, "complete", made)
    portal.user_id = 1
    assert act(portal, "approve", made) == "5"
    own = new_task(portal, TASK_CONTROL="Y", RESPONSIBLE_ID=1)
    assert act(portal, "complete", own) == "5"


def test_a_task_that_needs_a_result_is_not_completed_without(portal: Calls) -> None:
    made = new_task(portal, SE_PARAMETER=[{"CODE": 3, "VALUE": "Y"}])
    assert portal.refusal("tasks.task.complete", taskId=made)[0] == "0"
    portal.result("v3:tasks.task.result.add", fields={"taskId": made, "text": "Готово"})
    assert act(portal, "complete", made) == "5"
    assert portal.result("tasks.task.result.list", taskId=made)[0]["status"] == 1
    rows = portal.result("tasks.task.list", filter={"ID": made}, params={"WITH_RESULT_INFO": "Y"})["tasks"]
    assert (rows[0]["taskRequireResult"], rows[0]["taskHasResult"], rows[0]["taskHasOpenResult"]) == ("Y", "Y", "N")


def test_delegation_and_deletion_follow_rights(portal: Calls) -> None:
    made = new_task(portal)
    portal.user_id = 5
    row = portal.result("tasks.task.delegate", taskId=made, userId=7)["task"]
    assert (row["responsibleId"], row["auditors"]) == ("7", ["5"])
    assert portal.refusal("tasks.task.delete", taskId=made)[0] == "1048582"
    portal.user_id = 1
    assert portal.result("tasks.task.delete", taskId=made) == {"task": True}
    assert portal.result("tasks.task.get", taskId=made) == []


def test_events_carry_ids_only(portal: Calls) -> None:
    made = new_task(portal)
    act(portal, "start", made)
    portal.result("tasks.task.update", taskId=made, fields={"TITLE": "Позвонить"})
    portal.result("tasks.task.delete", taskId=made)
    shown = [(one.event, one.data["FIELDS_BEFORE"], one.data["FIELDS_AFTER"]) for one in portal.portal.outbox]
    number = {"ID": made}
    assert shown == [
        ("ONTASKADD", "undefined", number),
        ("ONTASKUPDATE", number, number),
        ("ONTASKDELETE", number, "undefined"),
    ]


# -- groups, CRM ------------------------------------------------------------------------------
def test_a_task_of_a_group_is_seen_by_its_members(portal: Calls) -> None:
    group = portal.result("sonet_group.create", NAME="Ромашка")
    portal.result("sonet_group.user.add", GROUP_ID=group, USER_ID=11)
    made = new_task(portal, GROUP_ID=group)
    assert task(portal, made)["group"]["name"] == "Ромашка"
    portal.user_id = 11
    assert found(portal, GROUP_ID=group) == [made]
    portal.switches.task_group_members_only = True
    refused = portal.refusal("tasks.task.add", fields={"TITLE": "x", "RESPONSIBLE_ID": 5, "GROUP_ID": group})
    assert refused[0] == "ERROR_CORE"


def test_a_bound_task_is_an_activity_of_the_deal(portal: Calls) -> None:
    deal = portal.add()
    made = new_task(portal, UF_CRM_TASK=[f"D_{deal}"])
    tree = {"OWNER_TYPE_ID": 2, "OWNER_ID": deal}
    row = portal.result("crm.activity.list", filter=tree)[0]
    assert (row["TYPE_ID"], row["ASSOCIATED_ENTITY_ID"], row["COMPLETED"]) == ("3", str(made), "N")
    act(portal, "complete", made)
    assert portal.result("crm.activity.list", filter=tree)[0]["COMPLETED"] == "Y"
    portal.result("tasks.task.delete", taskId=made)
    assert portal.result("crm.activity.list", filter=tree) == []


# -- comments ---------------------------------------------------------------------------------
def test_comments_of_the_new_card_are_messages_of_its_chat(portal: Calls) -> None:
    made = new_task(portal)
    chat = task(portal, made)["chatId"]
    assert portal.result("im.chat.get", ENTITY_TYPE="TASKS_TASK", ENTITY_ID=str(made)) == {"ID": chat}
    portal.portal.outbox.clear()
    assert portal.result("v3:tasks.task.chat.message.send", fields={"taskId": made, "text": "Раз"}) == {"result": True}
    second = portal.result("im.message.add", DIALOG_ID=f"chat{chat}", MESSAGE="Два")
    third = portal.result("task.commentitem.add", TASKID=made, FIELDS={"POST_MESSAGE": "Три"})
    portal.act("task.comment", task=made, text="Готово", files=[{"name": "акт.txt", "text": "x"}])
    after = [one.data["FIELDS_AFTER"] for one in portal.portal.outbox if one.event == "ONTASKCOMMENTADD"]
    assert {(one["ID"], one["TASK_ID"]) for one in after} == {(0, made)}
    assert [one["MESSAGE_ID"] for one in after][1:3] == [second, third]
    answer = portal.result("im.dialog.messages.get", DIALOG_ID=f"chat{chat}", LIMIT=2)
    newest = answer["messages"][0]
    assert (newest["text"], newest["author_id"], newest["params"]["FILE_ID"]) == (
        "Готово",
        5,
        [answer["files"][0]["id"]],
    )
    assert answer["files"][0]["name"] == "акт.txt"
    assert answer["messages"][1]["params"] == []
    older = portal.result("im.dialog.messages.get", DIALOG_ID=f"chat{chat}", LAST_ID=second)
    assert [one["text"] for one in older["messages"]] == ["Раз"]
    assert portal.refusal("task.commentitem.getlist", TASKID=made)[0] == "ERROR_CORE"
    portal.switches.comments_without_task_in_new_card = "empty"
    assert portal.result("task.commentitem.getlist", TASKID=made) == []


def test_only_participants_read_the_chat(portal: Calls) -> None:
    portal.user_id = 3
    made = new_task(portal)
    chat = f"chat{task(portal, made)['chatId']}"
    portal.user_id = 1
    assert portal.refusal("im.dialog.messages.get", DIALOG_ID=chat)[0::2] == ("ACCESS_ERROR", 403)
    portal.result("tasks.task.update", taskId=made, fields={"AUDITORS": [1]})
    assert portal.result("im.dialog.messages.get", DIALOG_ID=chat)["messages"] == []
    portal.user_id = 11
    refused = portal.refusal("v3:tasks.task.chat.message.send", fields={"taskId": made, "text": "x"})
    assert refused[0] == "BITRIX_REST_V3_EXCEPTION_ACCESSDENIEDEXCEPTION"
    assert portal.refusal("v3:tasks.task.chat.message.send", fields={"text": "x"})[0].endswith(
        "REQUESTVALIDATIONEXCEPTION"
    )


def test_status_changes_are_told_in_the_chat_by_nobody(portal: Calls) -> None:
    made = new_task(portal, RESPONSIBLE_ID=1)
    act(portal, "complete", made)
    rows = portal.result("im.dialog.messages.get", DIALOG_ID=f"chat{task(portal, made)['chatId']}")["messages"]
    assert [(one["author_id"], one["text"]) for one in rows] == [(0, "Задача завершена")]
    assert portal.portal.figures()["tasks"]["comments"] == 0


def test_files_are_put_into_a_chat_by_one_call(portal: Calls) -> None:
    made = new_task(portal)
    chat = task(portal, made)["chatId"]
    fields = {"name": "договор.pdf", "content": BODY, "message": "Вот"}
    answer = portal.result("im.v2.File.upload", dialogId=f"chat{chat}", fields=fields)
    assert (answer["chatId"], answer["file"]["size"]) == (chat, 8)
    url = portal.result("im.v2.File.download", dialogId=f"chat{chat}", fileId=answer["file"]["id"])["downloadUrl"]
    assert "/rest/download.json?token=disk%7C" in url
    wrong = portal.refusal("im.v2.File.upload", dialogId=f"chat{chat}", fields={**fields, "content": "ы"})
    assert wrong[0] == "FILE_INVALID_CONTENT"
    assert portal.portal.dump("task_comments")[0]["files"] == ["договор.pdf"]


def test_comments_of_the_old_card_are_read_by_position() -> None:
    portal = Calls(task_card="old")
    made = new_task(portal)
    assert task(portal, made)["chatId"] is None
    said = portal.act("task.comment", task="Позвонить", text="Фото", files=[{"name": "1.png", "content": BODY}])
    mine = portal.result("task.commentitem.add", TASKID=made, FIELDS={"POST_MESSAGE": "Ок", "AUTHOR_ID": 7})
    rows = portal.result("task.commentitem.getlist", TASKID=made, ORDER={"ID": "asc"}, FILTER={})
    assert [(row["ID"], row["AUTHOR_ID"]) for row in rows] == [(str(said["comment_id"]), "5"), (str(mine), "7")]
    attached = next(iter(rows[0]["ATTACHED_OBJECTS"].values()))
    assert (attached["NAME"], attached["SIZE"], rows[1]["ATTACHED_OBJECTS"]) == ("1.png", "8", {})
    assert ("ONTASKCOMMENTADD", {"ID": mine, "TASK_ID": made}) in [
        (one.event, one.data["FIELDS_AFTER"]) for one in portal.portal.outbox
    ]
    wrong_order = portal.refusal("task.commentitem.add", FIELDS={"POST_MESSAGE": "Ок"}, TASKID=made)
    assert "256/TE/WRONG_ARGUMENTS" in wrong_order[1]
    assert portal.result("task.commentitem.update", TASKID=made, ITEMID=mine, FIELDS={"POST_MESSAGE": "Да"}) is True
    assert portal.result("task.commentitem.get", TASKID=made, ITEMID=mine)["POST_MESSAGE"] == "Да"
    portal.result("tasks.task.result.addFromComment", commentId=mine)
    assert portal.refusal("tasks.task.result.addFromComment", commentId=mine)[1] == "Result already exists."
    portal.result("task.commentitem.delete", TASKID=made, ITEMID=mine)
    assert portal.refusal("task.commentitem.get", TASKID=made, ITEMID=mine)[0] == "ERROR_CORE"


def test_results_come_out_of_messages(portal: Calls) -> None:
    made = new_task(portal)
    message = portal.act("task.comment", task=made, text="Сделал", files=[{"name": "a", "text": "1"}])["message_id"]
    portal.user_id = 5
    portal.result("v3:tasks.task.result.addfromchatmessage", fields={"messageId": message})
    rows = portal.result("v3:tasks.task.result.list", filter=[["taskId", made]])["items"]
    assert [(row["messageId"], row["status"], len(row["fileIds"])) for row in rows] == [(message, "open", 1)]
    assert portal.refusal("v3:tasks.task.result.list")[0].endswith("REQUESTVALIDATIONEXCEPTION")
    assert portal.result("v3:tasks.task.result.delete", id=rows[0]["id"]) == {"result": True}


def test_checklists_have_lists_and_items(portal: Calls) -> None:
    made = new_task(portal)
    item = portal.result("task.checklistitem.add", TASKID=made, FIELDS={"TITLE": "Паспорт"})
    portal.result("task.checklistitem.complete", TASKID=made, ITEMID=item)
    rows = portal.result("task.checklistitem.getlist", TASKID=made)
    assert [(row["PARENT_ID"], row["TITLE"], row["IS_COMPLETE"]) for row in rows] == [
        (0, "Чек-лист 1", "N"),
        (rows[0]["ID"], "Паспорт", "Y"),
    ]
    portal.result("task.checklistitem.delete", TASKID=made, ITEMID=item)
    assert len(portal.result("task.checklistitem.getlist", TASKID=made)) == 1


# -- acts, notifications ----------------------------------------------------------------------
def test_people_act_on_tasks(portal: Calls) -> None:
    made = portal.act("task.add", fields={"TITLE": "Смета", "RESPONSIBLE_ID": 7, "TASK_CONTROL": "Y"}, user=3)["id"]
    assert portal.act("task.start", task="Смета")["status"] == 3
    assert portal.act("task.complete", task=made)["status"] == 4
    assert portal.act("task.approve", task=made)["status"] == 5
    with pytest.raises(ValueError, match="may not start"):
        portal.act("task.start", task=made)
    portal.act("task.edit", task=made, fields={"TITLE": "Смета 2"})
    row = portal.portal.dump("tasks", {"status": 5})[0]
    assert (row["TITLE"], row["CLOSED_BY"]) == ("Смета 2", 3)
    portal.act("task.delete", task=made)
    assert portal.portal.dump("tasks") == []


def test_any_event_can_be_raised_by_hand(portal: Calls) -> None:
    portal.act("event.raise", event="onCrmInvoiceAdd", data={"FIELDS": {"ID": 3}})
    assert portal.events() == [("ONCRMINVOICEADD", 3)]


def test_a_tag_replaces_the_older_notification(portal: Calls) -> None:
    first = portal.result("im.notify.personal.add", USER_ID=5, MESSAGE="Раз", TAG="t1", CLIENT_ID="b24sync")
    second = portal.result("im.notify.personal.add", USER_ID=5, MESSAGE="Два", TAG="t1", CLIENT_ID="b24sync")
    portal.result("im.notify.system.add", USER_ID=5, MESSAGE="Система")
    assert second > first
    assert [row["MESSAGE"] for row in portal.portal.dump("notifications", {"user_id": 5})] == ["Два", "Система"]
    assert portal.portal.figures()["notified"] == 3
    portal.user_id = 5
    own = portal.result("im.notify.get")["notifications"]
    assert [(row["text"], row["notify_tag"]) for row in own] == [("Система", ""), ("Два", "MP|b24sync|t1")]
    assert portal.result("im.notify.delete", TAG="t1") is True
    assert len(portal.result("im.notify.get")["notifications"]) == 1


def test_wrong_notifications_are_refused(portal: Calls) -> None:
    assert portal.refusal("im.notify.personal.add", MESSAGE="x")[0] == "USER_ID_EMPTY"
    assert portal.refusal("im.notify.personal.add", USER_ID=5)[0] == "MESSAGE_EMPTY"
    assert portal.refusal("im.notify.personal.add", USER_ID=5, MESSAGE="x", TAG="t")[0] == "CLIENT_ID_EMPTY"
    assert portal.result("im.notify.personal.add", USER_ID=13, MESSAGE="x") is False
    portal.switches.notify_tag_needs_client_id = False
    assert portal.result("im.notify", USER_ID=5, MESSAGE="x", TAG="t", TYPE="SYSTEM") > 0
