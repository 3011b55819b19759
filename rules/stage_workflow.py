"""Процесс по стадии: a deal enters a stage by hand -> the workflow that imported deals get there.

Diagram: docs/processes/stage_workflow.md

When    a deal enters a stage that a `[[workflows.start]]` names
Does    starts its template, through the ledger of `b24sync workflows start`
Again?  once per deal, template and stay in the stage, whoever was first
"""

from b24sync.automation import Context, Item, Process, RuleParams, entered

stage_workflow = Process("stage_workflow", entity="deal", params=RuleParams, enabled=False)


@stage_workflow.on(entered("*"))
def start_what_is_configured(deal: Item, ctx: Context) -> None:
    ctx.start_workflow(deal)
