"""Группа клиента: a deal enters a stage -> a new responsible, a task in the client's extranet group.

Diagram: docs/processes/client_group_task.md

When    a deal enters `stage`
Does    makes the one that `assign` names responsible: an e-mail or id, "company" (the company's responsible),
        "department_head" (the head of the present responsible's department), or a list: in turn. Then a task for them
        in the company's group, bound to deal and company; the group is made first where it is missing
Again?  once per stay in the stage; the turn is drawn once
"""

from b24sync.automation import Assign, Context, Duration, GiveUp, Item, Process, RuleParams, Stage, entered


class Params(RuleParams):
    stage: Stage
    assign: Assign = "company"
    title: str = "Свяжитесь с клиентом по сделке «{title}»"
    deadline: Duration = "1d"


client_group_task = Process("client_group_task", entity="deal", params=Params, enabled=False)


@client_group_task.on(entered("stage"))
def hand_over(deal: Item, ctx: Context) -> None:
    if deal.company is None:
        raise GiveUp(f"{deal} has no company, so there is no client group for its task.")
    company = ctx.item("company", deal.company)
    responsible = ctx.chosen(ctx.params.assign, deal, company)
    group = ctx.client_group(company.id, needed=True, members=[responsible])
    ctx.assign(deal, responsible)
    ctx.tasks.ensure(
        "client",
        title=ctx.params.title.format(title=deal.title),
        responsible=responsible,
        about=[deal, company],
        deadline=ctx.params.deadline,
        group=group,
    )
