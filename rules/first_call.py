"""Первый звонок: a deal enters the first stage -> a task for its responsible. Diagram: docs/processes/first_call.md

When    a deal enters `stage` (by default the first one of `pipeline`, or of every pipeline)
Does    a task `title` for the deal's responsible, due in `deadline`, bound to the deal
Again?  once per stay in the stage; a deal that leaves it and comes back gets a new task
"""

from b24sync.automation import Context, Duration, FirstStage, GiveUp, Item, Pipeline, Process, RuleParams, entered


class Params(RuleParams):
    pipeline: Pipeline | None = None
    stage: FirstStage = "(first)"
    title: str = "Позвонить клиенту 1 раз"
    deadline: Duration = "1d"


first_call = Process("first_call", entity="deal", params=Params, enabled=False)


@first_call.on(entered("stage"))
def call_the_client(deal: Item, ctx: Context) -> None:
    if deal.assigned_by is None:
        raise GiveUp(f"{deal} has no responsible person to call the client.")
    ctx.tasks.ensure(
        "call",
        title=ctx.params.title,
        responsible=deal.assigned_by,
        about=deal,
        deadline=ctx.params.deadline,
    )
