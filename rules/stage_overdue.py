"""Стадия просрочена: a deal's planned days run out -> word to its responsible and the head of the department.

Diagram: docs/processes/stage_overdue.md

When    the recounted field of days left falls below zero (docs/reports.md); the nightly recount writes it
Does    a notification to the responsible and, with `head`, to the head of the responsible's department
Again?  once per stay in a stage: days left only fall while a deal stands in it. What was overdue for longer than
        `fresh` when it is first seen (the very first recount) is a matter for the report, not for a notification
"""

from b24sync.automation import Context, Duration, Field, Item, Process, RuleParams, changed

DAY_S = 86_400


class Params(RuleParams):
    field: Field = "UF_CRM_B24SYNC_DAYS_LEFT"
    text: str = "Сделка «{title}»: срок стадии истёк, просрочка {days} дн. {link}"
    head: bool = True
    fresh: Duration = "4d"


stage_overdue = Process("stage_overdue", entity="deal", params=Params, enabled=False)


@stage_overdue.on(changed("field"))
def tell(deal: Item, ctx: Context) -> None:
    left, before = _days(ctx.cause.after), _days(ctx.cause.before)
    if left is None or left >= 0 or -left * DAY_S > ctx.params.fresh.total_seconds():
        return
    if before is not None and before < 0 and left <= before:
        return  # the same stay, a night later
    text = ctx.params.text.format(title=deal.title, days=f"{-left:.1f}".replace(".", ","), link=ctx.url(deal))
    people = [deal.assigned_by, ctx.department_head(deal.assigned_by) if ctx.params.head else None]
    for user_id in dict.fromkeys(person for person in people if person is not None):
        ctx.notify(user_id, text, step="overdue")


def _days(value: object) -> float | None:
    try:
        return float(str(value))
    except ValueError:
        return None
