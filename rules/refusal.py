"""Отказ: "Отказ" becomes Да -> a copy of the deal stands on the failed stage. Diagram: docs/processes/refusal.md

When    the yes/no field (or list) `field` of a deal becomes yes
Does    a copy with its fields, contacts and product rows on `failed_stage`, a comment from each to the other; the
        original stays where it is
Again?  once until the field is reset and set again; copies carry the origin `b24sync-refusal` and are not copied
"""

from b24sync.automation import Context, Field, Item, Process, RuleParams, Stage, changed


class Params(RuleParams):
    field: Field = "Отказ"
    failed_stage: Stage = "Сделка провалена"
    comment_on_original: str = "Отказ: создана копия сделки на стадии «{stage}», {link}"
    comment_on_copy: str = "Отказ: копия сделки «{title}», {link}"


refusal = Process("refusal", entity="deal", params=Params, enabled=False)


@refusal.on(changed("field"))
def keep_a_copy(deal: Item, ctx: Context) -> None:
    params = ctx.params
    if not params.field.is_yes(ctx.cause.after) or params.field.is_yes(ctx.cause.before):
        return
    if ctx.is_own_copy(deal):
        return
    copy = ctx.item("deal", ctx.copy(deal, stage=params.failed_stage))
    ctx.comment(deal, params.comment_on_original.format(stage=params.failed_stage.given, link=ctx.url(copy)))
    ctx.comment(copy, params.comment_on_copy.format(title=deal.title, link=ctx.url(deal)))
