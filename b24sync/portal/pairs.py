"""External keys of items that come from several sources: originator and id as one text.

An item that has no external key is known by its id in the portal that it came from. Both sides of `b24sync export`
use them: a file of one portal's items, read into the same portal or into another one.
"""

from __future__ import annotations

MIXED = "*@"
"""Originator of a file whose keys are pairs: `*@<host>` of the portal that reads the file."""


def pair_key(originator: str, origin_id: str) -> str:
    """Originator and id as one text."""
    return f"{originator.replace('%', '%25').replace('|', '%7C')}|{origin_id}"


def split_pair(key: str) -> tuple[str, str]:
    """What `pair_key` joined."""
    originator, _, origin_id = key.partition("|")
    return originator.replace("%7C", "|").replace("%25", "%"), origin_id


def own_pair(host: str, item_id: int | str, *, as_xml_id: bool = False) -> str:
    """The key of an item without an external one; `as_xml_id` for smart processes, which have no originator."""
    return pair_key("", f"b24sync:{host}:{item_id}") if as_xml_id else pair_key(f"b24sync:{host}", str(item_id))
