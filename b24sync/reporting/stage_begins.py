"""What a deal's fields should hold when it has just entered a stage: for the rule `stage_dates`.

The nightly recount writes the same from the history and repairs what was missed. Costs no request: names are those
of the last recount, so before the first one there is no plan.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

from b24sync.config import Config
from b24sync.portal.stage_fields import DAYS_LEFT, PLAN_END, STAGE_START
from b24sync.reporting.norms import as_days
from b24sync.reporting.sources import directory_of, norm_book
from b24sync.reporting.timeline import Stay
from b24sync.store.engine import Store
from b24sync.store.names import read_names


class StageBegins:
    """Plans of one portal."""

    def __init__(self, config: Config, store: Store, portal: str) -> None:
        self._config = config
        self._store = store
        self._portal = portal

    def fields(self, deal: Callable[[str], Any]) -> dict[str, Any]:
        """Fields of a deal (`deal("stageId")` gives a field as the portal shows it) whose present stage has just begun.

        Start, planned end and days left; a norm's own field of planned days where it is empty. Nothing for a deal of a
        pipeline without norms.
        """
        directory = directory_of(read_names(self._store, self._portal))
        book = norm_book(self._config, self._store, self._portal, directory, [])
        pipeline_id, stage_id = int(deal("categoryId") or 0), str(deal("stageId") or "")
        if pipeline_id not in book.pipelines:
            return {}
        final = any(one.status_id == stage_id and one.semantics != "process" for one in directory.stages)
        entered = datetime.fromisoformat(str(deal("movedTime")))
        zone = book.calendars.zone
        entered = (entered if entered.tzinfo else entered.replace(tzinfo=zone)).astimezone(zone)
        stay = Stay(pipeline_id, stage_id, "S" if final else "P", entered.timestamp(), None, False)
        norm = book.norm_of(stay)
        own = {norm.field: deal(norm.field)} if norm and norm.field else {}
        measure = book.measure(stay, stay.entered_at, own)
        plan_end = book.plan_end(stay, measure)
        found: dict[str, Any] = {
            STAGE_START: entered.isoformat(timespec="seconds"),
            PLAN_END: "" if plan_end is None else datetime.fromtimestamp(round(plan_end), zone).isoformat(),
            DAYS_LEFT: "" if measure.days_left is None else round(measure.days_left, 2),
        }
        if norm and norm.field and as_days(own[norm.field]) is None:
            found[norm.field] = norm.days
        return found
