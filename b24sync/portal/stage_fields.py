"""The deal's fields that b24sync recounts (design 9): made by `portal apply`, written by the recount and its rule."""

from __future__ import annotations

STAGE_START = "UF_CRM_B24SYNC_STAGE_START"
PLAN_END = "UF_CRM_B24SYNC_STAGE_PLAN_END"
DAYS_LEFT = "UF_CRM_B24SYNC_DAYS_LEFT"
OVERDUE_TOTAL = "UF_CRM_B24SYNC_OVERDUE_TOTAL"
RECOUNTED = (STAGE_START, PLAN_END, DAYS_LEFT, OVERDUE_TOTAL)
