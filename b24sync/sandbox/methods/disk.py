"""`disk.*`: storages, folders, files; upload directly or by an address, download by a link with a token.

Docs: api-reference/disk/storage/*.md, api-reference/disk/folder/*.md, api-reference/disk/file/*.md,
api-reference/disk/attached-object/disk-attached-object-get.md, api-reference/disk/rights/disk-rights-get-tasks.md.
"""

from __future__ import annotations

import base64
import binascii
from typing import Any

from ..model import drive_links
from ..model.disk import ALIVE, BINNED, BINNED_WITH_FOLDER, Storage
from ..model.filters import Compiler, FilterFault, compile_order
from ..model.listing import listed, start_of
from ..model.moments import iso_moment
from ..model.records import MOMENT, NUMBER, TEXT, Row, columns_of
from ..portal import Portal
from ..registry import Answer, ApiError, Call, Handler, rest_method
from .arguments import argument, caller, integer, is_yes, listed_answer, mapping, sequence

KINDS = {
    "ID": NUMBER,
    "NAME": TEXT,
    "TYPE": TEXT,
    "PARENT_ID": NUMBER,
    "SIZE": NUMBER,
    "CREATE_TIME": MOMENT,
    "UPDATE_TIME": MOMENT,
    "CREATED_BY": NUMBER,
}
STORAGE_KINDS = {"ID": NUMBER, "NAME": TEXT, "ENTITY_TYPE": TEXT, "ENTITY_ID": TEXT, "ROOT_OBJECT_ID": NUMBER}
COMMON_ID = "shared_files_s1"


# -- who, where -------------------------------------------------------------------------------
def storages(portal: Portal) -> list[Storage]:
    """The common drive, one of each employee, one of each group; made as people and groups come."""
    now = int(portal.time())
    portal.disk.storage("common", COMMON_ID, "Общий диск", now)
    for user in portal.users.values():
        if user.kind == "employee":
            portal.disk.storage("user", str(user.id), user.full_name, now)
    for group in portal.groups:
        portal.disk.storage("group", str(group.id), group.name, now)
    return list(portal.disk.storages.values())


def may_use(call: Call, storage: Storage) -> bool:
    """One's own drive, those of one's groups, the common one; administrators all of them."""
    if caller(call).admin:
        return True
    if storage.entity_type == "group":
        group = call.portal.groups.get(integer(storage.entity_id))
        return group is not None and group.has_member(call.user_id)
    return storage.entity_type == "common" or storage.entity_id == str(call.user_id)


def needed(call: Call, name: str, place: int) -> Any:
    raw = argument(call, name)
    if raw in (None, ""):
        raise ApiError("ERROR_ARGUMENT", f"Invalid value of parameter {{Parameter #{place}}}")
    return raw


def missing(raw: Any) -> ApiError:
    return ApiError("ERROR_NOT_FOUND", f"Could not find entity with id `{raw}`")


def found_storage(call: Call) -> Storage:
    raw = needed(call, "id", 0)
    storage = next((one for one in storages(call.portal) if one.id == integer(raw)), None)
    if storage is None or not may_use(call, storage):
        raise missing(raw)
    return storage


def found_object(call: Call, kind: str, place: int = 0) -> Row:
    """The folder or file of `id`, also from the recycle bin. Raises the codes of the pages."""
    raw = needed(call, "id", place)
    storages(call.portal)
    row = call.portal.disk.objects.get(integer(raw))
    if row is None or row["TYPE"] != kind:
        raise missing(raw)
    if not may_use(call, call.portal.disk.storages[row["STORAGE_ID"]]):
        raise ApiError("ACCESS_DENIED", "Access denied")
    return row


# -- out --------------------------------------------------------------------------------------
def shown(portal: Portal, row: Row) -> dict[str, Any]:
    """Numbers as texts; files have FILE_ID and DOWNLOAD_URL, folders REAL_OBJECT_ID."""
    head = {
        "ID": str(row["ID"]),
        "NAME": row["NAME"],
        "CODE": None,
        "STORAGE_ID": str(row["STORAGE_ID"]),
        "TYPE": row["TYPE"],
    }
    tail = {
        "PARENT_ID": str(row["PARENT_ID"] or 0),
        "DELETED_TYPE": str(row["DELETED_TYPE"]),
        "CREATE_TIME": iso_moment(row["CREATE_TIME"], portal.zone),
        "UPDATE_TIME": iso_moment(row["UPDATE_TIME"], portal.zone),
        "DELETE_TIME": None if row["DELETE_TIME"] is None else iso_moment(row["DELETE_TIME"], portal.zone),
        "CREATED_BY": str(row["CREATED_BY"]),
        "UPDATED_BY": str(row["UPDATED_BY"]),
        "DELETED_BY": str(row["DELETED_BY"] or 0),
        "DETAIL_URL": f"{portal.base}/disk/path/{path_of(portal, row)}",
    }
    if row["TYPE"] == "folder":
        return {**head, "REAL_OBJECT_ID": str(row["ID"]), **tail}
    version = {
        "GLOBAL_CONTENT_VERSION": str(row["VERSION"]),
        "FILE_ID": str(row["FILE_ID"]),
        "SIZE": str(row["SIZE"]),
        "DOWNLOAD_URL": drive_links.download_url(portal, row["ID"]),
    }
    return {**head, **tail, **version}


def made_row(portal: Portal, row: Row) -> dict[str, Any]:
    """The same after adding: ID, FILE_ID and version are numbers there (disk-folder-upload-file.md)."""
    line = shown(portal, row)
    line.update({"ID": row["ID"], "DELETED_TYPE": row["DELETED_TYPE"], "DELETED_BY": None})
    if row["TYPE"] == "file":
        line.update({"FILE_ID": row["FILE_ID"], "GLOBAL_CONTENT_VERSION": row["VERSION"]})
    return line


def path_of(portal: Portal, row: Row) -> str:
    names = [row["NAME"]]
    parent = portal.disk.objects.get(row["PARENT_ID"])
    while parent is not None and parent["PARENT_ID"] is not None:
        names.append(parent["NAME"])
        parent = portal.disk.objects.get(parent["PARENT_ID"])
    return "/".join(reversed(names))


# -- storages ---------------------------------------------------------------------------------
def storage_row(storage: Storage) -> dict[str, Any]:
    return {
        "ID": str(storage.id),
        "NAME": storage.name,
        "CODE": None,
        "MODULE_ID": "disk",
        "ENTITY_TYPE": storage.entity_type,
        "ENTITY_ID": storage.entity_id,
        "ROOT_OBJECT_ID": str(storage.root_id),
    }


@rest_method("disk.storage.getlist", scope="disk")
def storage_list(call: Call) -> Answer:
    portal = call.portal
    rows = [
        {**storage_row(one), "ID": one.id, "ROOT_OBJECT_ID": one.root_id}
        for one in storages(portal)
        if may_use(call, one)
    ]
    return filtered(call, rows, STORAGE_KINDS, lambda row: storage_row(portal.disk.storages[row["ID"]]))


def filtered(call: Call, rows: list[Row], kinds: dict[str, str], show: Any) -> Answer:
    columns = columns_of(kinds, call.portal.fold(), call.portal.zone)
    try:
        plan = Compiler(columns, strict=False, groups=False, ignore_case=True, id_column="").compile(
            mapping(argument(call, "filter"))
        )
    except FilterFault as fault:
        raise ApiError("ERROR_ARGUMENT", str(fault)) from fault
    order = compile_order(argument(call, "order"), columns, strict=False, ignore_case=True)
    page = listed(rows, plan, order, start_of(argument(call, "start", 0)))
    return listed_answer([show(row) for row in page.rows], page)


@rest_method("disk.storage.get", scope="disk")
def storage_get(call: Call) -> Answer:
    return Answer(storage_row(found_storage(call)))


@rest_method("disk.storage.getchildren", scope="disk")
def storage_children(call: Call) -> Answer:
    return children(call, found_storage(call).root_id)


@rest_method("disk.folder.getchildren", scope="disk")
def folder_children(call: Call) -> Answer:
    return children(call, found_object(call, "folder", 1)["ID"])


def children(call: Call, folder_id: int) -> Answer:
    portal = call.portal
    return filtered(call, portal.disk.children(folder_id), KINDS, lambda row: shown(portal, row))


# -- folders ----------------------------------------------------------------------------------
@rest_method("disk.folder.get", scope="disk")
def folder_get(call: Call) -> Answer:
    return Answer(shown(call.portal, found_object(call, "folder")))


def add_folder(call: Call, parent: Row) -> Answer:
    name = str(mapping(argument(call, "data")).get("NAME") or "").strip()
    if not name:
        raise ApiError("ERROR_ARGUMENT", "Invalid value of parameter {Parameter #1}")
    if call.portal.disk.named(parent["ID"], name) is not None:
        raise ApiError("DISK_OBJ_22000", "Папка с таким именем уже есть")
    row = call.portal.disk.add_folder(parent, name, call.user_id, int(call.portal.time()))
    return Answer(made_row(call.portal, row))


@rest_method("disk.folder.addsubfolder", scope="disk")
def add_subfolder(call: Call) -> Answer:
    return add_folder(call, found_object(call, "folder"))


@rest_method("disk.storage.addfolder", scope="disk")
def add_root_folder(call: Call) -> Answer:
    return add_folder(call, root_of(call))


def root_of(call: Call) -> Row:
    row = call.portal.disk.objects.get(found_storage(call).root_id)
    assert row is not None
    return row


# -- files ------------------------------------------------------------------------------------
def body_of(call: Call) -> bytes:
    """`["name", base64]` at the top level (api-reference/files/how-to-upload-files.md)."""
    parts = sequence(argument(call, "fileContent"))
    try:
        return base64.b64decode(str(parts[1]), validate=True)
    except (IndexError, ValueError, binascii.Error) as error:
        raise ApiError("ERROR_COULD_NOT_SAVE_FILE", "Could not save file") from error


def upload(call: Call, parent: Row) -> Answer:
    """Without fileContent: an address to post the file to, in one field of a multipart form."""
    unique = is_yes(argument(call, "generateUniqueName"))
    if argument(call, "fileContent") in (None, "", []):
        url = drive_links.upload_url(call.portal, parent["ID"], call.user_id, unique=unique)
        return Answer({"field": "file", "uploadUrl": url})
    name = str(mapping(argument(call, "data")).get("NAME") or "").strip()
    if not name:
        text = "Error: required parameter NAME (DISK_BASE_SERVICE_22001)"
        raise ApiError("DISK_BASE_SERVICE_22001", text)
    body = body_of(call)
    try:
        row = drive_links.save_file(call.portal, parent, name, body, call.user_id, unique=unique)
    except drive_links.NameTaken as error:
        raise ApiError("DISK_OBJ_22000", "Файл с таким именем уже есть") from error
    return Answer(made_row(call.portal, row))


@rest_method("disk.folder.uploadfile", scope="disk", in_batch=False)
def folder_upload(call: Call) -> Answer:
    return upload(call, found_object(call, "folder"))


@rest_method("disk.storage.uploadfile", scope="disk", in_batch=False)
def storage_upload(call: Call) -> Answer:
    return upload(call, root_of(call))


@rest_method("disk.file.get", scope="disk")
def file_get(call: Call) -> Answer:
    return Answer(shown(call.portal, found_object(call, "file")))


@rest_method("disk.file.uploadversion", scope="disk", in_batch=False)
def upload_version(call: Call) -> Answer:
    """The object stays, its body is new: another FILE_ID (disk-file-upload-version.md)."""
    row = found_object(call, "file")
    call.portal.disk.new_version(row, body_of(call), call.user_id, int(call.portal.time()))
    return Answer({**shown(call.portal, row), "GLOBAL_CONTENT_VERSION": row["VERSION"]})


def rename(kind: str) -> Handler:
    def handler(call: Call) -> Answer:
        row = found_object(call, kind)
        name = str(needed(call, "newName", 0)).strip()
        other = call.portal.disk.named(row["PARENT_ID"] or 0, name)
        if other is not None and other is not row:
            what = "Файл" if kind == "file" else "Папка"
            raise ApiError("DISK_OBJ_22000", f"{what} с таким именем уже есть")
        row.update(NAME=name, UPDATED_BY=call.user_id, UPDATE_TIME=int(call.portal.time()))
        return Answer(shown(call.portal, row))

    return handler


rest_method("disk.file.rename", scope="disk")(rename("file"))
rest_method("disk.folder.rename", scope="disk")(rename("folder"))


def bin_object(kind: str) -> Handler:
    """Into the recycle bin; what lies in a folder goes with it."""

    def handler(call: Call) -> Answer:
        row = found_object(call, kind)
        now = int(call.portal.time())
        row.update(DELETED_TYPE=BINNED, DELETE_TIME=now, DELETED_BY=call.user_id)
        waiting = [row]
        while waiting:
            parent = waiting.pop()
            for child in call.portal.disk.children(parent["ID"]) if parent["TYPE"] == "folder" else ():
                child.update(DELETED_TYPE=BINNED_WITH_FOLDER, DELETE_TIME=now, DELETED_BY=call.user_id)
                waiting.append(child)
        return Answer(shown(call.portal, row))

    return handler


rest_method("disk.file.markdeleted", scope="disk")(bin_object("file"))
rest_method("disk.folder.markdeleted", scope="disk")(bin_object("folder"))


@rest_method("disk.file.restore", scope="disk")
def file_restore(call: Call) -> Answer:
    row = found_object(call, "file")
    row.update(DELETED_TYPE=ALIVE, DELETE_TIME=None, DELETED_BY=None)
    return Answer(shown(call.portal, row))


@rest_method("disk.file.delete", scope="disk")
def file_delete(call: Call) -> Answer:
    call.portal.disk.objects.remove(found_object(call, "file"))
    return Answer(True)


@rest_method("disk.file.getExternalLink", scope="disk")
def external_link(call: Call) -> Answer:
    """A link for people without an account."""
    row = found_object(call, "file")
    return Answer(f"{call.portal.base}/~{row['ID']:x}")


@rest_method("disk.attachedObject.get", scope="disk")
def attached_object(call: Call) -> Answer:
    """What hangs on a task or a comment; OBJECT_ID is the file on the drive."""
    portal = call.portal
    raw = needed(call, "id", 0)
    row = portal.disk.attachments.get(integer(raw))
    file = portal.disk.objects.get(row["OBJECT_ID"]) if row else None
    if row is None or file is None:
        raise missing(raw)
    types = {"task": "tasks_task", "comment": "forum_message"}
    return Answer(
        {
            "ID": str(row["ID"]),
            "OBJECT_ID": str(row["OBJECT_ID"]),
            "MODULE_ID": "tasks" if row["ENTITY_TYPE"] == "task" else "forum",
            "ENTITY_TYPE": types[row["ENTITY_TYPE"]],
            "ENTITY_ID": str(row["ENTITY_ID"]),
            "CREATE_TIME": iso_moment(row["CREATE_TIME"], portal.zone),
            "CREATED_BY": str(row["CREATED_BY"]),
            "DOWNLOAD_URL": drive_links.download_url(portal, row["OBJECT_ID"]),
            "NAME": file["NAME"],
            "SIZE": str(file["SIZE"]),
        }
    )


@rest_method("disk.rights.getTasks", scope="disk")
def rights(_call: Call) -> Answer:
    names = (
        ("disk_access_full", "Полный доступ"),
        ("disk_access_edit", "Редактирование"),
        ("disk_access_read", "Чтение"),
    )
    return Answer([{"ID": str(number), "NAME": name, "TITLE": title} for number, (name, title) in enumerate(names, 40)])
