"""Questions to people: `ctx.ask` sends a one-time link, the daemon's page takes the answer, the answer is a cause.

The link's token is a keyed hash of the question (process, item, cause), so that asking again is the same question; it
is the only credential of its page, and cannot be guessed. The key is drawn once per store.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from b24sync.automation.causes import ANSWERED, Cause
from b24sync.clock import Clock
from b24sync.store.cursors import read_cursor, save_cursor_in
from b24sync.store.engine import Store
from b24sync.store.jobs import DISPATCH
from b24sync.store.lanes import Lanes, Message
from b24sync.store.links import Link, Links

QUESTION = "question"
PAGE = "/ask/"
_KEY = "rules: key of questions"


@dataclass(frozen=True, slots=True)
class Question:
    """A question as its page shows it. `answer`: None until somebody has chosen."""

    text: str
    options: Sequence[str]
    answer: str | None


class Questions:
    """The questions of one portal."""

    def __init__(self, store: Store, portal: str, clock: Clock) -> None:
        self._store = store
        self._portal = portal
        self._clock = clock
        self._links = Links(store, portal)

    def token(self, key: str) -> str:
        """The token of a question, by what names it."""
        secret = read_cursor(self._store, self._portal, _KEY)
        if secret is None:
            with self._store.write() as connection:
                secret = read_cursor(self._store, self._portal, _KEY, connection) or secrets.token_hex(32)
                save_cursor_in(self._store, connection, self._portal, _KEY, secret)
        return hmac.new(secret.encode(), key.encode(), hashlib.sha256).hexdigest()[:48]

    def put(self, link: Link, text: str, options: Sequence[str]) -> None:
        """Store a question, unless it has been put before; `link.portal_id` is its token."""
        if not self._links.to(QUESTION, link.portal_id):
            self._links.save([replace(link, detail={"text": text, "options": list(options)})])

    def find(self, token: str) -> Question | None:
        """The question of a token."""
        link = self._link(token)
        if link is None:
            return None
        detail = link.detail
        return Question(str(detail.get("text", "")), list(detail.get("options", [])), detail.get("answer"))

    def answer(self, token: str, option: str) -> str | None:
        """Store an answer and have it worked on; the answer that counts: the first one. None for no such question."""
        link = self._link(token)
        if link is None or option not in link.detail.get("options", []):
            return None
        with self._store.write() as connection:
            again = self._link(token)
            if again is not None and again.detail.get("answer") is not None:
                return str(again.detail["answer"])
            self._links.save([replace(link, detail={**link.detail, "answer": option})], connection)
            own: dict[str, Any] = {"do": "answer", "entity": link.entity, "id": link.entity_id, "token": token}
            message = Message(self._portal, DISPATCH, f"answer:{token}", {"b24sync": own})
            Lanes(self._store, self._clock).publish(connection, [message])
        return option

    def cause(self, token: str, so_far: int) -> Cause | None:
        """The cause that an answer is; `so_far`: how often this question of the item was answered before."""
        link = self._link(token)
        if link is None:
            return None
        answer = link.detail.get("answer")
        return Cause(link.entity, link.entity_id, ANSWERED, link.step, so_far + 1, after=answer, process=link.process)

    def _link(self, token: str) -> Link | None:
        found = self._links.to(QUESTION, token)
        return found[0] if found else None
