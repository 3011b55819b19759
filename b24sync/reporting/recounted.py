"""What a deal's recounted fields should hold, and how they differ from what the portal shows. Pure.

Fields (design 9): when the present stage began, when its planned days end, days left (negative = overdue), total
overdue over all stages. A deal in a final stage has neither plan nor days left, and its total stays as it was.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from b24sync.portal.directory import FieldInfo
from b24sync.portal.stage_fields import DAYS_LEFT, OVERDUE_TOTAL, PLAN_END, RECOUNTED, STAGE_START
from b24sync.reporting.norms import NormBook
from b24sync.reporting.timeline import Stay

SAME_TIME_S = 60.0
"""A datetime field may be set to hide seconds (crm-userfield-types.md, USE_SECOND)."""
LAST_OF_DAY_S = 1.0
"""Planned days that end with a working day end at its midnight: as a date that is still this day."""
EMPTY: tuple[Any, ...] = (None, "", [])

Value = datetime | float | None


@dataclass(frozen=True, slots=True)
class Update:
    """One deal's fields to be written. `key` names the values: another value is another write."""

    key: str
    deal_id: int
    fields: Mapping[str, Any]

    @classmethod
    def of(cls, night_id: int, deal_id: int, fields: Mapping[str, Any]) -> Update:
        digest = hashlib.sha256(json.dumps([night_id, fields], sort_keys=True).encode()).hexdigest()
        return cls(f"{deal_id}/{night_id}/{digest[:12]}", deal_id, fields)


def wanted_values(stays: Sequence[Stay], book: NormBook, as_of: float, own: Mapping[str, Any]) -> dict[str, Value]:
    """The four values of a deal with these stays, as of a moment."""
    measures = [book.measure(stay, as_of, own) for stay in stays]
    present, measure = stays[-1], measures[-1]
    zone = book.calendars.zone
    plan_end = book.plan_end(present, measure)
    return {
        STAGE_START: datetime.fromtimestamp(round(present.entered_at), zone),
        PLAN_END: None if plan_end is None else datetime.fromtimestamp(round(plan_end), zone),
        DAYS_LEFT: measure.days_left,
        OVERDUE_TOTAL: sum(one.delay_days for one in measures),
    }


class Fields:
    """The recounted fields as this portal has them: `infos` by code. Values go in and are compared by their type."""

    def __init__(self, infos: Mapping[str, FieldInfo], zone: ZoneInfo) -> None:
        self._infos = {code: infos[code] for code in RECOUNTED if code in infos}
        self._zone = zone

    @property
    def lacking(self) -> list[str]:
        return [code for code in RECOUNTED if code not in self._infos]

    def changes(self, wanted: Mapping[str, Value], shown: Mapping[str, Any], *, closed: bool) -> dict[str, Any]:
        """What to write so that the portal shows what is wanted; empty where it does.

        A closed deal that never was late and shows nothing is left alone.
        """
        written = {code: self._encoded(code, wanted[code]) for code in self._infos}
        if closed and not wanted[OVERDUE_TOTAL] and all(shown.get(code) in EMPTY for code in self._infos):
            return {}
        return {code: value for code, value in written.items() if not self._same(code, value, shown.get(code))}

    def hold(self, fields: Mapping[str, Any], shown: Mapping[str, Any]) -> bool:
        """Whether the portal shows these written values."""
        return all(self._same(code, value, shown.get(code)) for code, value in fields.items())

    def _encoded(self, code: str, value: Value) -> Any:
        info = self._infos[code]
        if value is None:
            return ""
        if isinstance(value, datetime):
            if info.type == "date":
                last = datetime.fromtimestamp(
                    value.timestamp() - (LAST_OF_DAY_S if code == PLAN_END else 0), self._zone
                )
                return last.date().isoformat()
            return value.isoformat(timespec="seconds")
        if info.type == "integer":
            return math.floor(value)
        rounded = round(value, _precision(info)) + 0.0
        return str(rounded) if info.type == "string" else rounded

    def _same(self, code: str, written: Any, shown: Any) -> bool:
        if shown in EMPTY or written == "":
            # An emptied number may read as 0 (crm-company-get.md).
            return bool(written == "" and (shown in EMPTY or str(shown) in ("0", "0.0")))
        kind = self._infos[code].type
        try:
            if kind == "date":
                return bool(str(shown)[:10] == written)
            if code in (STAGE_START, PLAN_END):
                return abs((self._moment(shown) - self._moment(written)).total_seconds()) < SAME_TIME_S
            return abs(float(shown) - float(written)) < 0.5 * 10.0 ** -_precision(self._infos[code])
        except ValueError:
            return False

    def _moment(self, text: Any) -> datetime:
        moment = datetime.fromisoformat(str(text))
        return moment if moment.tzinfo else moment.replace(tzinfo=self._zone)


def _precision(info: FieldInfo) -> int:
    """Decimals that the portal keeps of a number: two are wanted, its field may be set to fewer."""
    try:
        return max(0, min(2, int(info.settings.get("PRECISION", 2))))
    except (TypeError, ValueError):
        return 2
