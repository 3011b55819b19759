"""Сроки стадии: a deal enters a stage -> when it began, its planned days and planned end stand in the deal at once.

Diagram: docs/processes/stage_dates.md

When    a deal enters a stage of a pipeline that has `[[stages.norm]]`
Does    writes the fields of docs/reports.md, and a norm's own field of planned days where it is empty
Again?  the same values change nothing; the nightly recount repairs what was missed
"""

from b24sync.automation import Context, Item, Process, RuleParams, entered

stage_dates = Process("stage_dates", entity="deal", params=RuleParams, enabled=False)


@stage_dates.on(entered("*"))
def write_dates(deal: Item, ctx: Context) -> None:
    ctx.stage_dates(deal)
