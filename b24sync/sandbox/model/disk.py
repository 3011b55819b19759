"""The portal's Disk: storages, folders and files with their bodies and versions; attachments of tasks and comments.

Docs: api-reference/disk/index.md, api-reference/disk/file/disk-file-upload-version.md,
api-reference/disk/attached-object/disk-attached-object-get.md. ID is the disk object, FILE_ID the body: never the same.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from .records import Records, Row

FIRST_OBJECT_ID, FIRST_BODY_ID, FIRST_ATTACHMENT_ID = 8001, 30001, 970
ALIVE, BINNED, BINNED_WITH_FOLDER = 0, 3, 4


@dataclass(slots=True)
class Storage:
    """A drive: of a person, a group, or the common one."""

    id: int
    name: str
    entity_type: str
    entity_id: str
    root_id: int


@dataclass(slots=True)
class Disk:
    """All storages and objects. Bodies of files by FILE_ID."""

    storages: dict[int, Storage] = field(default_factory=dict)
    objects: Records = field(default_factory=lambda: Records(FIRST_OBJECT_ID))
    attachments: Records = field(default_factory=lambda: Records(FIRST_ATTACHMENT_ID))
    bodies: dict[int, bytes] = field(default_factory=dict)
    tokens: dict[int, str] = field(default_factory=dict)
    """Tokens of download links by object; files of CRM fields under their negative ids."""
    _next_body: int = FIRST_BODY_ID

    def storage(self, entity_type: str, entity_id: str, name: str, at: int) -> Storage:
        """The storage of a person, group or company; made when first asked for."""
        for one in self.storages.values():
            if (one.entity_type, one.entity_id) == (entity_type, entity_id):
                return one
        number = len(self.storages) + 1
        root = self.objects.add(self._row(number, None, "folder", name, 0, at))
        self.storages[number] = Storage(number, name, entity_type, entity_id, root["ID"])
        return self.storages[number]

    @staticmethod
    def _row(storage_id: int, parent_id: int | None, kind: str, name: str, by: int, at: int) -> Row:
        return {
            "NAME": name,
            "TYPE": kind,
            "STORAGE_ID": storage_id,
            "PARENT_ID": parent_id,
            "DELETED_TYPE": ALIVE,
            "CREATE_TIME": at,
            "UPDATE_TIME": at,
            "DELETE_TIME": None,
            "CREATED_BY": by,
            "UPDATED_BY": by,
            "DELETED_BY": None,
        }

    def add_folder(self, parent: Row, name: str, by: int, at: int) -> Row:
        return self.objects.add(self._row(parent["STORAGE_ID"], parent["ID"], "folder", name, by, at))

    def add_file(self, parent: Row, name: str, body: bytes, by: int, at: int) -> Row:
        row = self.objects.add(self._row(parent["STORAGE_ID"], parent["ID"], "file", name, by, at))
        row["VERSION"] = 0
        self.new_version(row, body, by, at)
        return row

    def new_version(self, row: Row, body: bytes, by: int, at: int) -> None:
        """Another body under the same object: its FILE_ID is new."""
        self.bodies[self._next_body] = body
        row.update(FILE_ID=self._next_body, SIZE=len(body), UPDATED_BY=by, UPDATE_TIME=at, VERSION=row["VERSION"] + 1)
        self._next_body += 1

    def children(self, folder_id: int) -> list[Row]:
        """What lies in a folder and is not in the recycle bin, in the order of ids."""
        return [row for row in self.objects.where(PARENT_ID=folder_id) if row["DELETED_TYPE"] == ALIVE]

    def named(self, folder_id: int, name: str) -> Row | None:
        return next((row for row in self.children(folder_id) if row["NAME"].lower() == name.lower()), None)

    def attach(self, object_id: int, entity_type: str, entity_id: int, by: int, at: int) -> Row | None:
        """Tie a file to a task or a comment; None when there is no such file."""
        row = self.objects.get(object_id)
        if row is None or row["TYPE"] != "file" or row["DELETED_TYPE"] != ALIVE:
            return None
        return self.attachments.add(
            {
                "OBJECT_ID": object_id,
                "ENTITY_TYPE": entity_type,
                "ENTITY_ID": entity_id,
                "CREATED_BY": by,
                "CREATE_TIME": at,
            }
        )
