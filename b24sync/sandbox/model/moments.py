"""Dates and times on the wire: read in, written out.

Stored form: datetime = whole unix seconds, date = "YYYY-MM-DD".
Docs: api-reference/data-types.md (ISO 8601 with the server's offset).
"""

from __future__ import annotations

import re
from datetime import date, datetime, tzinfo
from functools import lru_cache

PORTAL_FORMAT = re.compile(r"(\d{2})\.(\d{2})\.(\d{4})(?:[ T](\d{2}):(\d{2})(?::(\d{2}))?)?$")
CACHED = 8192
ISO_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")


def parse_moment(raw: object, zone: tzinfo) -> int:
    """Unix seconds of an ISO text, the portal's format `d.m.Y H:i:s`, or a date. Without an offset: the server's zone.

    Raises ValueError when it is none of these.
    """
    text = str(raw).strip()
    local = PORTAL_FORMAT.match(text)
    if local:
        day, month, year, hour, minute, second = (int(part or 0) for part in local.groups())
        return int(datetime(year, month, day, hour, minute, second, tzinfo=zone).timestamp())
    if not ISO_DATE.match(text):
        raise ValueError(f"no date: {text!r}")
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=zone)
    return int(moment.timestamp())


def parse_day(raw: object) -> str:
    """`YYYY-MM-DD` of a date or of the date part of a time. Raises ValueError."""
    text = str(raw).strip()
    local = PORTAL_FORMAT.match(text)
    if local:
        return date(int(local[3]), int(local[2]), int(local[1])).isoformat()
    if not ISO_DATE.match(text):
        raise ValueError(f"no date: {text!r}")
    if len(text) > 10:
        datetime.fromisoformat(text)
    return date.fromisoformat(text[:10]).isoformat()


@lru_cache(maxsize=CACHED)
def iso_moment(seconds: int | float, zone: tzinfo) -> str:
    """`2024-08-30T14:29:00+03:00`."""
    return datetime.fromtimestamp(int(seconds), zone).isoformat()


@lru_cache(maxsize=CACHED)
def iso_day(day: str, zone: tzinfo) -> str:
    """A date as classic and item methods return it: midnight UTC in the server's zone, `2024-08-30T03:00:00+03:00`.

    Docs: api-reference/crm/deals/crm-deal-get.md (02:00 at +02:00), recorded lists (03:00 at +03:00).
    """
    moment = datetime.fromisoformat(f"{day}T00:00:00+00:00")
    offset = zone.utcoffset(moment)
    local = moment.astimezone(zone) if offset is not None and offset.total_seconds() >= 0 else moment
    return f"{day}T{local:%H:%M:%S}{_offset_text(zone, moment)}"


def _offset_text(zone: tzinfo, moment: datetime) -> str:
    return moment.astimezone(zone).isoformat()[-6:]
