"""All methods and acts of the portal; importing this package registers them."""

from . import (  # noqa: F401 - imported for registration
    acts,
    bindings,
    categories,
    classic,
    currencies,
    dealcategories,
    duplicates,
    group_acts,
    groups,
    imports,
    items,
    stagehistory,
    statuses,
    types,
    userfieldconfig,
    userfields,
    users,
    workflow_templates,
    workflows,
    workgroups,
)
