"""Chats and their messages; a task of the new card has one (api-reference/tasks/tasks-new.md).

Docs: api-reference/chats/messages/im-dialog-messages-get.md, api-reference/chats/im-chat-get.md.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from .records import Records, Row

FIRST_CHAT_ID, FIRST_MESSAGE_ID = 4001, 80001
SYSTEM = 0
"""Author of the portal's own messages."""


@dataclass(slots=True)
class Chat:
    """One chat; `entity_type` TASKS_TASK with the task's id, or empty for a dialog of people."""

    id: int
    entity_type: str
    entity_id: str
    members: list[int] = field(default_factory=list)


class Chats:
    """All chats, and one row of messages for all of them."""

    def __init__(self) -> None:
        self._chats: dict[int, Chat] = {}
        self._by_entity: dict[tuple[str, str], int] = {}
        self._last_id = FIRST_CHAT_ID - 1
        self.messages = Records(FIRST_MESSAGE_ID)
        self._of_chat: dict[int, list[Row]] = {}

    def open(self, entity_type: str, entity_id: str, members: list[int]) -> int:
        """Id of the chat of this entity, made when there is none."""
        known = self._by_entity.get((entity_type, entity_id))
        if known is not None:
            return known
        self._last_id += 1
        self._chats[self._last_id] = Chat(self._last_id, entity_type, entity_id, list(members))
        self._by_entity[entity_type, entity_id] = self._last_id
        return self._last_id

    def get(self, chat_id: int | None) -> Chat | None:
        return None if chat_id is None else self._chats.get(chat_id)

    def find(self, entity_type: str, entity_id: str) -> Chat | None:
        return self.get(self._by_entity.get((entity_type, entity_id)))

    def set_members(self, chat_id: int | None, members: list[int]) -> None:
        chat = self.get(chat_id)
        if chat is not None:
            chat.members = list(members)

    def say(self, chat_id: int, author_id: int, text: str, at: int, files: list[int] | None = None) -> Row:
        """A message; `files` = ids of disk objects."""
        row = self.messages.add(
            {"CHAT_ID": chat_id, "AUTHOR_ID": author_id, "TEXT": text, "DATE": at, "FILES": list(files or [])}
        )
        self._of_chat.setdefault(chat_id, []).append(row)
        return row

    def of(self, chat_id: int) -> list[Row]:
        """Messages of one chat, oldest first; removed ones are not among them."""
        return [row for row in self._of_chat.get(chat_id, ()) if self.messages.get(row["ID"]) is not None]

    def __len__(self) -> int:
        return len(self._chats)
