"""Storages, folders and files of the sandbox; the last tests go over real HTTP."""

from __future__ import annotations

import base64
from typing import Any

import pytest
import requests
from portal_calls import Calls

from b24sync.sandbox.limits import PLANS
from b24sync.sandbox.sandbox import Sandbox


def content(body: bytes) -> list[str]:
    return ["any name", base64.b64encode(body).decode()]


@pytest.fixture
def portal() -> Calls:
    return Calls()


def root_of(portal: Calls, kind: str = "common") -> int:
    return int(portal.result("disk.storage.getlist", filter={"ENTITY_TYPE": kind})[0]["ROOT_OBJECT_ID"])


def upload(portal: Calls, folder: int, name: str, body: bytes = b"x", **more: Any) -> dict[str, Any]:
    data = {"data": {"NAME": name}, "fileContent": content(body), **more}
    return dict(portal.result("disk.folder.uploadfile", id=folder, **data))


def names(portal: Calls, folder: int, **more: Any) -> list[str]:
    return [row["NAME"] for row in portal.result("disk.folder.getchildren", id=folder, **more)]


def test_everybody_has_a_drive_and_sees_his_own(portal: Calls) -> None:
    portal.result("sonet_group.create", NAME="Ромашка")
    rows = portal.result("disk.storage.getlist")
    assert {row["ENTITY_TYPE"] for row in rows} == {"common", "user", "group"}
    portal.user_id = 5
    mine = portal.result("disk.storage.getlist")
    assert [(row["ENTITY_TYPE"], row["NAME"]) for row in mine] == [
        ("common", "Общий диск"),
        ("user", "Мария Кузнецова"),
    ]


def test_a_report_is_put_into_a_folder_and_replaced_by_a_new_version(portal: Calls) -> None:
    root = root_of(portal)
    folder = portal.result("disk.folder.addsubfolder", id=root, data={"NAME": "Отчёты"})["ID"]
    first = upload(portal, folder, "delays.xlsx", b"one")
    assert (first["NAME"], first["SIZE"], isinstance(first["ID"], int)) == ("delays.xlsx", "3", True)
    second = portal.result("disk.file.uploadversion", id=first["ID"], fileContent=content(b"three"))
    assert (second["ID"], second["SIZE"], second["GLOBAL_CONTENT_VERSION"]) == (str(first["ID"]), "5", 2)
    assert second["FILE_ID"] != str(first["FILE_ID"])
    assert names(portal, folder, filter={"NAME": "delays.xlsx"}) == ["delays.xlsx"]
    assert names(portal, folder, filter={"NAME": "other"}) == []
    assert [row["NAME"] for row in portal.result("disk.storage.getchildren", id=1)] == ["Отчёты"]
    assert portal.result("disk.file.getExternalLink", id=first["ID"]).startswith("/~")


def test_names_are_unique_in_a_folder(portal: Calls) -> None:
    root = root_of(portal)
    upload(portal, root, "a.txt")
    taken = portal.refusal("disk.folder.uploadfile", id=root, data={"NAME": "A.TXT"}, fileContent=content(b"x"))
    assert taken[0] == "DISK_OBJ_22000"
    assert upload(portal, root, "a.txt", generateUniqueName=True)["NAME"] == "a (1).txt"
    other = upload(portal, root, "b.txt")["ID"]
    assert portal.refusal("disk.file.rename", id=other, newName="a.txt")[0] == "DISK_OBJ_22000"
    assert portal.result("disk.file.rename", id=other, newName="c.txt")["NAME"] == "c.txt"
    portal.result("disk.folder.addsubfolder", id=root, data={"NAME": "Ф"})
    assert portal.refusal("disk.folder.addsubfolder", id=root, data={"NAME": "ф"})[0] == "DISK_OBJ_22000"


def test_deleted_files_lie_in_the_bin(portal: Calls) -> None:
    root = root_of(portal)
    folder = portal.result("disk.folder.addsubfolder", id=root, data={"NAME": "Ф"})["ID"]
    file = upload(portal, folder, "a.txt")["ID"]
    assert portal.result("disk.file.markdeleted", id=file)["DELETED_TYPE"] == "3"
    assert names(portal, folder) == []
    portal.result("disk.file.restore", id=file)
    portal.result("disk.folder.markdeleted", id=folder)
    assert portal.result("disk.file.get", id=file)["DELETED_TYPE"] == "4"
    assert [row["deleted"] for row in portal.portal.dump("disk") if row["name"] == "a.txt"] == [True]


def test_the_disk_has_its_errors(portal: Calls) -> None:
    root = root_of(portal)
    assert portal.refusal("disk.folder.uploadfile")[0] == "ERROR_ARGUMENT"
    assert portal.refusal("disk.file.get", id=999)[:2] == ("ERROR_NOT_FOUND", "Could not find entity with id `999`")
    assert portal.refusal("disk.folder.uploadfile", id=root, fileContent=content(b"x"))[0] == "DISK_BASE_SERVICE_22001"
    bad = portal.refusal("disk.folder.uploadfile", id=root, data={"NAME": "a"}, fileContent=["a", "data:x"])
    assert bad[0] == "ERROR_COULD_NOT_SAVE_FILE"
    private = root_of(portal, "user")
    portal.user_id = 5
    refused = portal.refusal("disk.folder.uploadfile", id=private, data={"NAME": "a"}, fileContent=content(b"x"))
    assert refused[0] == "ACCESS_DENIED"


def test_files_are_attached_to_tasks(portal: Calls) -> None:
    file = upload(portal, root_of(portal), "договор.pdf", b"contract")["ID"]
    fields = {"TITLE": "x", "RESPONSIBLE_ID": 1, "UF_TASK_WEBDAV_FILES": [f"n{file}", "n999"]}
    task = portal.result("tasks.task.add", fields=fields)["task"]["id"]
    attached = portal.result("tasks.task.get", taskId=task, select=["UF_CRM_TASK"])["task"]["ufTaskWebdavFiles"]
    row = portal.result("disk.attachedObject.get", id=attached[0])
    assert (row["OBJECT_ID"], row["NAME"], row["ENTITY_ID"]) == (str(file), "договор.pdf", task)
    assert portal.result("tasks.task.files.attach", taskId=task, fileId=file)["attachmentId"] > attached[0]
    assert portal.refusal("tasks.task.files.attach", taskId=task, fileId=999)[0] == "ERROR_CORE"


def test_files_in_fields_of_deals_come_back_by_their_machine_link() -> None:
    field = {"ENTITY_ID": "CRM_DEAL", "FIELD_NAME": "SCANS", "USER_TYPE_ID": "file", "MULTIPLE": "Y"}
    with Sandbox(plan=PLANS["off"], seed={"userfields": [field]}) as sandbox:

        def save(method: str, **params: Any) -> list[dict[str, Any]]:
            body = {"entityTypeId": 2, "useOriginalUfNames": "Y", **params}
            answer = requests.post(sandbox.webhook_url + method, json=body, timeout=60).json()
            return list(answer["result"]["item"]["UF_CRM_SCANS"])

        scans = [["a.pdf", content(b"A")[1]], ["b.pdf", content(b"B")[1]], {"fileData": content(b"C")}]
        first, second = save("crm.item.add", fields={"UF_CRM_SCANS": scans})
        assert requests.get(first["urlMachine"], timeout=60).content == b"A"
        kept = save(
            "crm.item.update", id=1, fields={"UF_CRM_SCANS": [{"id": second["id"]}, ["d.pdf", content(b"D")[1]]]}
        )
        assert [requests.get(one["urlMachine"], timeout=60).content for one in kept] == [b"B", b"D"]
        assert [one["name"] for one in sandbox.portal.dump("crm_files")] == ["a.pdf", "b.pdf", "d.pdf"]


def test_files_travel_by_links_over_http() -> None:
    with Sandbox(plan=PLANS["off"]) as sandbox:

        def call(method: str, **params: Any) -> Any:
            return requests.post(sandbox.webhook_url + method, json=params, timeout=60).json()["result"]

        root = call("disk.storage.getlist")[0]["ROOT_OBJECT_ID"]
        link = call("disk.folder.uploadfile", id=root)
        posted = requests.post(link["uploadUrl"], files={link["field"]: ("отчёт.html", b"<html>")}, timeout=60).json()
        file = call("disk.file.get", id=posted["result"]["ID"])
        assert (file["NAME"], file["SIZE"]) == ("отчёт.html", "6")
        assert requests.get(file["DOWNLOAD_URL"], timeout=60).content == b"<html>"
        assert requests.get(file["DOWNLOAD_URL"] + "x", timeout=60).status_code == 404
        assert requests.post(link["uploadUrl"], files={"file": ("a", b"b")}, timeout=60).status_code == 404
        figures = requests.get(f"{sandbox.base}/_sandbox/figures", timeout=60).json()
        assert figures["files"] == 1
