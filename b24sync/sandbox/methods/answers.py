"""A person answers a question that came as a notification: opens its link and presses a button of the form there.

What the link leads to is whatever page an application serves; it is read as a browser does.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from html.parser import HTMLParser
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlencode, urljoin
from urllib.request import urlopen

from ..portal import Portal
from ..registry import act

LINK = re.compile(r"https?://[^\s\[\]]+")
TIMEOUT_S = 30


@act("answer")
def answer(portal: Portal, params: dict[str, Any]) -> Callable[[], dict[str, Any]]:
    """user, button (what is written on it), notification (id; the newest with a link where absent)."""
    user_id, wanted = int(params.get("user") or 1), params.get("notification")
    for row in portal.notifications.where(USER_ID=user_id)[::-1]:
        link = LINK.search(str(row["MESSAGE"]))
        if link and (wanted is None or int(wanted) == row["ID"]):
            return lambda: press(link[0], str(params["button"]))
    raise ValueError(f"user {user_id} has no notification with a link")


def press(url: str, button: str) -> dict[str, Any]:
    """Open `url` and send its form by that button. Raises ValueError where there is none."""
    page = _Page()
    page.feed(_fetched(url, None))
    if button not in page.buttons:
        raise ValueError(f"no button {button!r} at {url}; there are: {', '.join(page.buttons) or 'none'}")
    action, pairs = page.buttons[button]
    _fetched(urljoin(url, action), urlencode(pairs).encode())
    return {"url": url, "sent": dict(pairs)}


def _fetched(url: str, data: bytes | None) -> str:
    try:
        with urlopen(url, data, timeout=TIMEOUT_S) as got:
            return str(got.read().decode("utf-8", "replace"))
    except HTTPError as error:
        with error:
            raise ValueError(f"{url} answered {error.code}") from error
    except OSError as error:
        raise ValueError(f"{url} cannot be opened: {error}") from error


class _Page(HTMLParser):
    """`buttons`: what is written on each -> where its form goes and the pairs that it sends."""

    def __init__(self) -> None:
        super().__init__()
        self.buttons: dict[str, tuple[str, list[tuple[str, str]]]] = {}
        self._action = ""
        self._hidden: list[tuple[str, str]] = []
        self._pair: tuple[str, str] | None = None
        self._caption = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        has = {name: value or "" for name, value in attrs}
        if tag == "form":
            self._action, self._hidden = has.get("action", ""), []
        elif tag == "input" and has.get("type") == "hidden":
            self._hidden.append((has.get("name", ""), has.get("value", "")))
        elif tag == "button":
            self._pair, self._caption = (has.get("name", ""), has.get("value", "")), ""

    def handle_data(self, data: str) -> None:
        self._caption += data

    def handle_endtag(self, tag: str) -> None:
        if tag == "button" and self._pair is not None:
            own = [self._pair] if self._pair[0] else []
            self.buttons[self._caption.strip()] = (self._action, [*self._hidden, *own])
            self._pair = None
