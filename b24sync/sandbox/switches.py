"""Every choice where the documentation is silent or contradicts itself, in one place.

Each switch names its source: a documentation page, "silent" (no page says it) or "conflict" (sources
disagree; both are named). Defaults are the documented or the measured behaviour; where nothing is
known, the one that is harder on a client. Set with `serve --switch NAME=VALUE` or `POST /_sandbox/switches`.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Any

TRUE_WORDS = frozenset({"1", "y", "yes", "true", "on"})
FALSE_WORDS = frozenset({"0", "n", "no", "false", "off", ""})


def switch(default: Any, source: str, text: str) -> Any:
    """A switch with its source and what it decides (read back by `describe`)."""
    return field(default=default, metadata={"source": source, "text": text})


@dataclass(slots=True)
class Switches:
    """Typed switches. Values keep the type of their default."""

    # -- kernel: statuses ---------------------------------------------------------------------
    insufficient_scope_status: int = switch(
        403, "conflict: _includes/system-errors.md 403, official Python SDK test 401", "status of insufficient_scope"
    )
    invalid_credentials_status: int = switch(
        401,
        "conflict: _includes/system-errors.md 403, measured by two official SDKs 401",
        "status of INVALID_CREDENTIALS",
    )
    portal_deleted_status: int = switch(
        500, "conflict: _includes/system-errors.md 500, official Python SDK 410", "status of PORTAL_DELETED"
    )
    method_not_found_status: int = switch(
        404, "conflict: _includes/system-errors.md 404, official JS SDK docs 400", "status of ERROR_METHOD_NOT_FOUND"
    )
    wrong_client_status: int = switch(
        200,
        "conflict: measured by the official Python SDK 200, a test of the official PHP SDK 400",
        "status of the OAuth server's wrong_client",
    )
    request_cap_status: int = switch(
        504, "silent: settings/performance/limits.md names no status", "HTML status when a request passes the cap"
    )
    portal_deleted: bool = switch(
        False, "_includes/system-errors.md", "every call answers PORTAL_DELETED, as a closed portal does"
    )
    # -- kernel: limits -----------------------------------------------------------------------
    omit_operating: bool = switch(
        False, "recorded answers of 2022 and on-premise portals", "leave operating and operating_reset_at out of time"
    )
    operating_from_s: float = switch(
        0.0,
        "silent: observed hypothesis that calls under 0.1 s are not counted",
        "calls shorter than this are not counted",
    )
    batch_operating: str = switch(
        "nested",
        "conflict: settings/performance/limits.md bills nested methods only, an on-premise portal bills batch",
        "nested | batch: whose operating budget nested calls use",
    )
    refused_requests_count: bool = switch(
        False, "silent: settings/performance/limits.md", "requests refused with 503 fill the leaky bucket too"
    )
    bucket_refuses_over: bool = switch(
        True,
        "silent: settings/performance/limits.md says 'exceeds X, the next request is blocked'",
        "True: request X + 1 of a burst is refused; False: the literal reading, request X + 2",
    )
    max_input_vars: int = switch(
        1000,
        "PHP default of max_input_vars; silent in the documentation",
        "variables of a form or a command beyond this are dropped",
    )
    # -- kernel: batch ------------------------------------------------------------------------
    reference_inside_text: bool = switch(
        True, "silent: settings/how-to-call-rest-api/batch.md", "$result[...] is also replaced inside a longer text"
    )
    batch_totals: bool = switch(
        True,
        "settings/how-to-call-rest-api/batch.md has result_total; some lists have no total (crm-currency-list.md: 0)",
        "lists inside a batch say how many rows there are",
    )
    # -- kernel: spec -------------------------------------------------------------------------
    spec_refuses: bool = switch(
        False, "own", "a call that breaks the official method spec is answered with an error, not only recorded"
    )
    # -- methods (added by the modules under methods/) ----------------------------------------
    # -- methods: lists -----------------------------------------------------------------------
    text_collation: str = switch(
        "unicode_ci",
        "silent: api-reference/crm/universal/crm-item-list.md",
        "unicode_ci | binary: whether filters on text ignore case, trailing blanks and accents, as MySQL does",
    )
    negative_filter_finds_empty: bool = switch(
        True, "silent: api-reference/crm/universal/crm-item-list.md", "`!=x` also finds rows where x is empty"
    )
    classic_unknown_filter: str = switch(
        "ignore",
        "silent: api-reference/crm/deals/crm-deal-list.md",
        "ignore | refuse: unknown filter keys of classic lists",
    )
    uf_names: str = switch(
        "strict",
        "silent: api-reference/crm/universal/index.md",
        "strict | both: whether crm.item.* knows user fields only in the format chosen by useOriginalUfNames",
    )
    # -- methods: values ----------------------------------------------------------------------
    long_strings: str = switch(
        "cut",
        "silent for deals; api-reference/crm/quote/crm-quote-add.md cuts",
        "cut | refuse: texts over 255 characters in one-line fields",
    )
    bad_number: str = switch(
        "refuse",
        "silent: api-reference/crm/universal/crm-item-add.md",
        "refuse | zero: text that is no number in a number field",
    )
    unknown_status_value: str = switch(
        "refuse",
        "silent: api-reference/crm/universal/crm-item-add.md names no case of CRM_FIELD_ERROR_VALUE_NOT_VALID",
        "refuse | drop | keep: an id that the dictionary (source, type, honorific) lacks",
    )
    unknown_enum_value: str = switch(
        "refuse", "silent: api-reference/crm/data-types.md", "refuse | drop: an element that the list user field lacks"
    )
    enum_items_shape: str = switch(
        "list",
        "silent: api-reference/crm/data-types.md prints a list; PHP makes a map of one that is keyed by ids",
        "list | map: the elements of a list user field in crm.item.fields",
    )
    unknown_link_value: str = switch(
        "refuse",
        "silent: api-reference/crm/universal/crm-item-add.md",
        "refuse | drop | keep: a company, contact or lead that does not exist",
    )
    dismissed_assignee: str = switch(
        "accept",
        "silent: api-reference/crm/universal/crm-item-add.md",
        "accept | refuse: a dismissed employee as responsible person",
    )
    foreign_stage_on_add: str = switch(
        "refuse",
        "silent: api-reference/crm/universal/import/crm-item-batch-import.md pairs category 4 with C9:...",
        "refuse | first: a new item with a stage of another pipeline",
    )
    fm_bad_type: str = switch(
        "refuse",
        "conflict: tutorials/crm/.../how-to-change-email-or-phone.md saves it, how-to-add-contractor.md refuses",
        "refuse | keep: an unknown typeId in fm",
    )
    fm_as_text: str = switch(
        "ignore",
        "conflict: tutorials/crm/.../how-to-change-email-or-phone.md ignores, how-to-add-contact.md error 100",
        "ignore | refuse: fm that is no list",
    )
    check_mandatory_user_fields: bool = switch(
        True,
        "tutorials/crm/how-to-edit-crm-objects/how-to-change-email-or-phone.md",
        "the CRM setting that checks mandatory user fields",
    )
    duplicate_user_field_code: str = switch(
        "ERROR_CORE",
        "silent: api-reference/crm/deals/user-defined-fields/crm-deal-userfield-add.md",
        "code of a second field of one name",
    )
    # -- methods: import ----------------------------------------------------------------------
    import_events: bool = switch(
        True, "silent: api-reference/crm/universal/import/index.md", "import sends onCrm...Add"
    )
    import_history_row: bool = switch(
        True, "silent: api-reference/crm/crm-stage-history-list.md", "import writes a stage-history row of type 1"
    )
    import_history_time: str = switch(
        "server",
        "silent: api-reference/crm/crm-stage-history-list.md",
        "server | created | moved: time of that row",
    )
    import_updated_time: str = switch(
        "now",
        "silent: api-reference/crm/universal/import/index.md",
        "now | created: updatedTime where only createdTime is given",
    )
    import_multifields: str = switch(
        "both",
        "conflict: crm-item-import.md text shows PHONE, crm-item-add.md fm",
        "both | fm | classic: how import takes phones and e-mails",
    )
    import_needs_title: bool = switch(
        False,
        "conflict: crm-item-import.md has a default title, the sample of crm-item-batch-import.md refuses without",
        "a title is required for every imported item (companies always need one)",
    )
    import_answer_order: str = switch(
        "data",
        "silent: api-reference/crm/universal/import/crm-item-batch-import.md",
        "data | reversed: order of the answered items",
    )
    created_time_floor: bool = switch(
        True,
        "api-reference/crm/universal/import/index.md; per type is our reading",
        "createdTime may not be earlier than that of the type's newest item",
    )
    dynamic_update_resets_category: bool = switch(
        True,
        "api-reference/crm/universal/crm-item-update.md (section smart process)",
        "an update of a smart process item without categoryId moves it to the main pipeline",
    )
    # -- methods: pipelines, processes --------------------------------------------------------
    stage_id_max_len: int = switch(
        21,
        "conflict: crm-status-add.md says 22, tutorials and recordings show 21",
        "length that stage ids with a prefix are cut to",
    )
    waiting_workflows_per_document: int = switch(
        2,
        "silent: api-reference/bizproc/bizproc-workflow-start.md; a portal setting",
        "waiting workflows that one document may have",
    )
    instances_array_filter: bool = switch(
        True, "silent: api-reference/bizproc/bizproc-workflow-instances.md", "an array as filter value means any of"
    )
    workflow_start_by_anyone: bool = switch(
        False,
        "api-reference/bizproc/bizproc-workflow-start.md: administrators only",
        "users without admin rights may start workflows",
    )
    # -- methods: groups, guests --------------------------------------------------------------
    extranet: str = switch(
        "works",
        "silent: api-reference/user/index.md knows only portals with guests",
        "works | by_hand | off: guests turn a group external; only the act group.extranet does; user.add refuses them",
    )
    extranet_refusal: str = switch(
        "access_denied",
        "silent: api-reference/user/user-add.md lists the errors, none for a portal without guests",
        "access_denied | no_extranet_field | user_count_exceeded | ERROR_NO_GROUP: how user.add refuses when off",
    )
    extranet_without_group: str = switch(
        "no_extranet_field",
        "conflict: api-reference/user/user-add.md has no_extranet_field and ERROR_GROUPID for the same case",
        "no_extranet_field | ERROR_GROUPID | no_sonet_group_for_extranet: a guest without SONET_GROUP_ID",
    )
    extranet_invitation: str = switch(
        "pending",
        "silent: api-reference/user/index.md only says 'groups in which the user will be'",
        "pending | member | none: the guest's tie to SONET_GROUP_ID right after user.add",
    )
    extranet_group_turns: str = switch(
        "call",
        "silent: api-reference/user/index.md 'when a guest is added by sonet_group.user.add'",
        "call | membership | invitation | never: every such call; only one that adds him; user.add already; no call",
    )
    pending_blocks_add: bool = switch(
        True,
        "silent: api-reference/sonet-group/members/sonet-group-user-add.md",
        "sonet_group.user.add skips people with a pending invitation and does not answer them",
    )
    delete_removes_pending: bool = switch(
        True,
        "silent: api-reference/sonet-group/members/sonet-group-user-delete.md",
        "sonet_group.user.delete takes a pending invitation back",
    )
    portal_invitation_joins_groups: bool = switch(
        False,
        "silent: api-reference/user/user-add.md",
        "who accepts the portal's invitation is a member of the groups that invited him",
    )
    group_is_extranet_shown: str = switch(
        "both",
        "conflict: sonet-group-get.md shows IS_EXTRANET, socialnetwork-api-workgroup-get.md only SITE_IDS",
        "both | get | sites: IS_EXTRANET in both readers, in sonet_group.get only, nowhere (SITE_IDS tells it)",
    )
    site_id_extranet: str = switch(
        "ignore",
        "silent: api-reference/sonet-group/sonet-group-create.md, SITE_ID without the extranet's code",
        "ignore | works | refuse: SITE_ID with the extranet site at create and update",
    )
    group_names_unique: bool = switch(
        False, "silent: api-reference/sonet-group/sonet-group-create.md", "a second group of one name is refused"
    )
    group_update_owner: str = switch(
        "works",
        "silent: sonet-group-update.md lists OWNER_ID, sonet-group-setowner.md is the method for it",
        "works | ignore: OWNER_ID in sonet_group.update",
    )
    former_owner_role: str = switch(
        "K",
        "silent: api-reference/sonet-group/sonet-group-setowner.md",
        "K | E | empty: what the former owner is afterwards",
    )
    group_filter_keywords: bool = switch(
        False,
        "api-reference/sonet-group/sonet-group-get.md does not list KEYWORDS among the filters",
        "groups may be filtered by KEYWORDS; otherwise that key is ignored",
    )
    admin_sees_secret_members: bool = switch(
        True,
        "silent: api-reference/sonet-group/members/sonet-group-user-get.md",
        "an administrator reads the members of a hidden group that he is not in",
    )
    workgroup_next_on_full_page: bool = switch(
        True, "recorded answer with next and total 50", "a full last page of workgroup.list still has `next`"
    )
    user_limit: int = switch(
        0, "api-reference/user/user-add.md, user_count_exceeded", "active people the plan allows; 0 = any number"
    )
    invited_users_listed: bool = switch(
        True, "silent: api-reference/user/user-get.md", "user.get also lists people who were invited and never came"
    )
    duplicate_email_text: str = switch(
        "Пользователь с таким email уже существует",
        "api-reference/user/user-add.md; the text follows the portal's language",
        "description of ERROR_ARGUMENT for an e-mail that is taken",
    )
    # -- methods: the rest --------------------------------------------------------------------
    crm_mailbox: str = switch(
        "",
        "tutorials/crm/how-to-add-crm-objects/how-to-send-email.md",
        "the shared CRM mailbox letters leave from without MESSAGE_FROM; empty = there is none",
    )
    comment_author: bool = switch(
        False,
        "silent: api-reference/crm/timeline/comments/crm-timeline-comment-add.md does not list AUTHOR_ID",
        "AUTHOR_ID of a timeline comment is taken; otherwise the caller is the author",
    )
    restored_item_keeps_id: bool = switch(
        False, "silent: no page tells of the recycle bin", "an item taken out of the recycle bin keeps its id"
    )
    # -- methods: tasks -----------------------------------------------------------------------
    task_card: str = switch(
        "new",
        "api-reference/tasks/tasks-new.md: from module tasks 25.700.0 on comments are a chat",
        "new | old: which card new tasks get",
    )
    task_disapproved_status: int = switch(
        2, "silent beyond the sample of api-reference/tasks/tasks-task-disapprove.md", "status after disapprove"
    )
    task_activities: bool = switch(
        True,
        "api-reference/crm/timeline/activities/activity-base/crm-activity-add.md (TYPE_ID 3)",
        "a task with UF_CRM_TASK is an activity of the bound items",
    )
    task_group_members_only: bool = switch(
        False,
        "silent: api-reference/tasks/tasks-task-add.md",
        "a task of a group is refused when its responsible is no member of the group",
    )
    task_system_messages: bool = switch(
        True, "silent: api-reference/tasks/tasks-new.md", "changes of a task's status are told in its chat by author 0"
    )
    task_chat_admin_reads: bool = switch(
        False,
        "silent: api-reference/chats/messages/im-dialog-messages-get.md knows participants only",
        "an administrator reads chats that he is not in",
    )
    notify_tag_needs_client_id: bool = switch(
        True,
        "api-reference/chats/notifications/im-notify-personal-add.md requires it; no error is named",
        "a webhook's notification with TAG and without CLIENT_ID is refused",
    )
    task_filter_case: bool = switch(
        True,
        "measured by the official JS SDK: a wrong id key gives the same page for ever",
        "filter keys of tasks.task.list are known in capitals only; others are ignored, `>id` too",
    )
    comment_event_accessible_before: str = switch(
        "undefined",
        "conflict: on-task-comment-add.md shows undefined, a recorded event N",
        "undefined | N: IS_ACCESSIBLE_BEFORE of ONTASKCOMMENTADD",
    )
    comments_without_task_in_new_card: str = switch(
        "error",
        "silent: api-reference/tasks/tasks-new.md says they do not work, not how",
        "error | empty: what task.commentitem.getlist and get answer for a task of the new card",
    )
    offline_extended: bool = switch(
        True,
        "api-reference/events/offline-events.md: on some plans only; how it is refused elsewhere is silent",
        "rest_offline_extended: offline events may be reserved (clear=0), confirmed and marked; else 403 ACCESS_DENIED",
    )
    crm_mode: int = switch(1, "api-reference/crm/crm-settings-mode-get.md", "1 classic (leads), 2 simple")

    def set(self, name: str, value: Any) -> None:
        """Set one switch; text is converted to the type of the default. Raises ValueError naming the mistake."""
        known = {item.name: item for item in fields(self)}
        if name not in known:
            raise ValueError(f"no switch {name!r}; known: {', '.join(sorted(known))}")
        setattr(self, name, convert(name, value, type(known[name].default)))

    def as_dict(self) -> dict[str, Any]:
        """Names to values."""
        return {item.name: getattr(self, item.name) for item in fields(self)}

    @classmethod
    def describe(cls) -> list[dict[str, Any]]:
        """Rows of name, default, source, text for the documentation and the control API."""
        return [{"name": item.name, "default": item.default, **item.metadata} for item in fields(cls)]


def convert(name: str, value: Any, kind: type) -> Any:
    """`value` as `kind`; booleans accept Y/N, 1/0, true/false, on/off."""
    if kind is bool:
        if isinstance(value, bool):
            return value
        word = str(value).strip().lower()
        if word in TRUE_WORDS:
            return True
        if word in FALSE_WORDS:
            return False
        raise ValueError(f"switch {name}: {value!r} is neither true nor false")
    try:
        return kind(value)
    except (TypeError, ValueError) as error:
        raise ValueError(f"switch {name}: {value!r} is no {kind.__name__}") from error
