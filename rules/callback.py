"""Обещали перезвонить: a date of a call back -> a task due exactly then. Diagram: docs/processes/callback.md

When    the user field `field` of a deal changes
Does    a task `title` for the responsible, due at that moment; another date moves the open task's deadline, no date
        closes it
Again?  the open task is found by its link; a task that somebody has finished is not touched, a new date makes a new one
"""

from b24sync.automation import Context, Field, GiveUp, Item, Process, RuleParams, changed


class Params(RuleParams):
    field: Field = "Дата перезвона"
    title: str = "Вы обещали перезвонить клиенту"


callback = Process("callback", entity="deal", params=Params, enabled=False)


@callback.on(changed("field"))
def call_back(deal: Item, ctx: Context) -> None:
    if ctx.is_own_copy(deal):
        return  # the promise is kept by the original
    promised = ctx.moment(deal[ctx.params.field])
    task = ctx.tasks.open("call")
    if promised is None:
        if task is not None:
            ctx.tasks.complete(task)
        return
    if task is not None:
        ctx.tasks.set_deadline(task, promised)
        return
    if deal.assigned_by is None:
        raise GiveUp(f"{deal} has no responsible person to call back.")
    ctx.tasks.ensure("call", title=ctx.params.title, responsible=deal.assigned_by, about=deal, deadline=promised)
