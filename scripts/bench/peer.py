"""A process of its own for a peer library: imports the rows of a CSV as its users would; prints one JSON line.

    python scripts/bench/peer.py fast_bitrix24|fast_bitrix24_slow|b24pysdk WEBHOOK FILE.csv

Peers may fail: the line says how (`died`), and how many ids their caller got. Only b24pysdk's https is taken
back to http, because the sandbox has no certificate.
"""

from __future__ import annotations

import csv
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

Fields = dict[str, Any]


def deals(path: Path) -> list[Fields]:
    """The rows as fields of crm.deal.add, with the same external key as b24sync gives them."""
    with path.open(encoding="utf-8", newline="") as file:
        return [
            {
                "TITLE": row["Название"],
                "OPPORTUNITY": row["Сумма"].replace(",", "."),
                "CURRENCY_ID": row["Валюта"],
                "COMMENTS": row["Комментарий"],
                "SOURCE_DESCRIPTION": row["Откуда"],
                "ADDITIONAL_INFO": row["Заметка"],
                "UTM_CAMPAIGN": row["Кампания"],
                "UTM_MEDIUM": row["Канал"],
                "ORIGINATOR_ID": "bench",
                "ORIGIN_ID": row["Id"],
            }
            for row in csv.DictReader(file)
        ]


def fast_bitrix24(webhook: str, rows: list[Fields], *, slow: bool) -> int:
    """`Bitrix.call` with a list, as its README shows; returns how many ids came back."""
    from fast_bitrix24 import Bitrix

    client = Bitrix(webhook, verbose=False)
    items = [{"fields": row} for row in rows]
    if not slow:
        return len(client.call("crm.deal.add", items))
    with client.slow(1):
        return len(client.call("crm.deal.add", items))


def b24pysdk(webhook: str, rows: list[Fields]) -> int:
    """`call_batches` with all calls at once; returns how many ids came back."""
    from b24pysdk.api.callers import call_method
    from b24pysdk.credentials import BitrixWebhook

    caller = call_method.__globals__["_MethodCaller"]
    caller._base_url = property(lambda self: f"http://{self._domain}/rest")
    address = urlsplit(webhook)
    token = BitrixWebhook(domain=address.netloc, webhook_token=address.path.removeprefix("/rest/").strip("/"))
    answer = token.call_batches(methods=[("crm.deal.add", {"fields": row}) for row in rows])
    return len(answer["result"]["result"])


PEERS: dict[str, Callable[[str, list[Fields]], int]] = {
    "fast_bitrix24": lambda webhook, rows: fast_bitrix24(webhook, rows, slow=False),
    "fast_bitrix24_slow": lambda webhook, rows: fast_bitrix24(webhook, rows, slow=True),
    "b24pysdk": b24pysdk,
}


def main() -> int:
    """Run one peer."""
    name, webhook, file = sys.argv[1:]
    rows = deals(Path(file))
    began = time.perf_counter()
    result: dict[str, Any] = {"ids": 0, "died": None}
    try:
        result["ids"] = PEERS[name](webhook, rows)
    except Exception as error:  # noqa: BLE001 - whatever a peer dies of is the finding
        result["died"] = f"{type(error).__name__}: {str(error)[:300]}".replace(webhook, "<webhook>")
    result["seconds"] = round(time.perf_counter() - began, 3)
    print(json.dumps(result, ensure_ascii=False), flush=True)
    return 1 if result["died"] else 0


if __name__ == "__main__":
    sys.exit(main())
