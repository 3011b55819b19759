"""A rule to start from: a deal enters the stage of the offer -> a task for its responsible.

When    a deal enters `stage`
Does    a task `title`, due in `deadline`, bound to the deal
Again?  once per stay in the stage

Switch it on with a table [rules.offer_reminder] in config.toml.
"""

from b24sync.automation import Context, Duration, GiveUp, Item, Process, RuleParams, Stage, entered


class Params(RuleParams):
    stage: Stage = "КП отправлено"
    title: str = "Узнать ответ на КП"
    deadline: Duration = "3d"


offer_reminder = Process("offer_reminder", entity="deal", params=Params, enabled=False)


@offer_reminder.on(entered("stage"))
def remind(deal: Item, ctx: Context) -> None:
    if deal.assigned_by is None:
        raise GiveUp(f"{deal} has no responsible person to remind.")
    ctx.tasks.ensure(
        "offer",
        title=f"{ctx.params.title}: {deal.title}",
        responsible=deal.assigned_by,
        about=deal,
        deadline=ctx.params.deadline,
    )
