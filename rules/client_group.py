"""Группа клиента: a company that became a client -> its extranet group, its contacts invited.

Diagram: docs/processes/client_group.md

When    a company is made, its type or its contacts change, or a contact's e-mail or companies change
Does    what `b24sync groups sync` does for that company
Again?  what is there stays
"""

from b24sync.automation import Context, Item, Process, RuleParams, changed, created

client_group = Process("client_group", entity="company", params=RuleParams, enabled=False)


@client_group.on(created())
def company_made(company: Item, ctx: Context) -> None:
    ctx.client_group(company.id)


@client_group.on(changed("typeId", "contactIds"))
def company_changed(company: Item, ctx: Context) -> None:
    ctx.client_group(company.id)


@client_group.on(changed("email", "companyId", "companyIds").of("contact"))
def contact_changed(contact: Item, ctx: Context) -> None:
    for company_id in ctx.companies_of(contact):
        ctx.client_group(company_id)
