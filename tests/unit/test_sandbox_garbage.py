"""Whatever is sent, a method of the sandbox answers or refuses; it never breaks."""

from __future__ import annotations

from typing import Any

import pytest
from portal_calls import COMPANIES, DEALS, Calls

from b24sync.sandbox import spec, system_methods
from b24sync.sandbox.auth import Credential
from b24sync.sandbox.registry import METHODS, Answer, ApiError, Call

WORDS: tuple[Any, ...] = ("", "x", "1", -1, 10**19, True, None, ["x"], {"a": {"b": ["c"]}}, [[1], {"ID": "x"}])
NESTED_NAMES = """
ID NAME TITLE TYPE_ID ENTITY_ID ENTITY_TYPE_ID OWNER_ID OWNER_TYPE_ID RESPONSIBLE_ID DEADLINE UF_CRM_TASK TAGS PRICE
taskId text name content groupId title categoryId stageId contactIds fm opportunity PHONE EMAIL POST_MESSAGE FILES
STATUS GROUP_ID ownerType ownerId messageId relations FIELD_NAME USER_TYPE_ID LIST
"""
NESTED = tuple(NESTED_NAMES.split())
assert system_methods.SCOPES


def trees(method: str) -> list[dict[str, Any]]:
    """Parameters of a method by the official spec, each filled with the same nonsense."""
    facts = spec.load().get(method.lower())
    names = sorted(facts.params.values()) if facts is not None else []
    names = list(dict.fromkeys([*names, "id", "fields", "filter", "order", "select", "start", "entityTypeId", "ID"]))
    flat = [dict.fromkeys(names, word) for word in WORDS]
    nested = [{name: dict.fromkeys(NESTED, word) for name in names} | {"entityTypeId": 2, "id": 1} for word in WORDS]
    filtered = [{"entityTypeId": 2, "filter": {f"{sign}ID": word}} for sign in ("", ">", "%", "@") for word in WORDS]
    return [*flat, *nested, *filtered]


def filled() -> Calls:
    made = Calls()
    made.add(DEALS, title="d")
    made.add(COMPANIES, title="c")
    made.result("tasks.task.add", fields={"TITLE": "t", "RESPONSIBLE_ID": 5})
    made.result("sonet_group.create", NAME="g")
    made.result("crm.requisite.add", fields={"ENTITY_TYPE_ID": COMPANIES, "ENTITY_ID": 1, "PRESET_ID": 1})
    made.result("disk.storage.getlist")
    return made


@pytest.fixture(scope="module")
def portal() -> Calls:
    """One for all methods: what one of them leaves behind is more nonsense for the next."""
    return filled()


def run(portal: Calls, name: str, params: dict[str, Any]) -> None:
    method = METHODS[name]
    credential = Credential("app-x", 1, frozenset({"*"}), is_app=True)
    args = list(params.values()) if method.positional else []
    call = Call(method.name, params, args, 1, "app-x", True, portal.portal, {"credential": credential})
    try:
        assert isinstance(method.handler(call), Answer)
    except ApiError:
        pass
    except Exception as error:
        raise AssertionError(f"{name} with {params!r:.300}") from error


@pytest.mark.parametrize("name", sorted(METHODS))
def test_no_method_breaks(portal: Calls, name: str) -> None:
    for params in trees(METHODS[name].name):
        run(portal, name, params)


TASK = {"TITLE": "t", "RESPONSIBLE_ID": 5, "DEADLINE": "2026-01-05", "TAGS": ["a"], "UF_CRM_TASK": ["D_1"]}
TASK |= {"GROUP_ID": 1, "SE_PARAMETER": [{"CODE": 3, "VALUE": "Y"}], "AUDITORS": [1], "STATUS": 2}
ROW = {"productName": "x", "price": 1, "quantity": 2, "taxRate": 20, "measureCode": 796, "sort": 10, "discountRate": 5}
ACTIVITY = {
    "OWNER_TYPE_ID": 2,
    "OWNER_ID": 1,
    "TYPE_ID": 2,
    "SUBJECT": "s",
    "RESPONSIBLE_ID": 1,
    "START_TIME": "2026-01-05",
}
ACTIVITY |= {
    "COMMUNICATIONS": [{"VALUE": "1"}],
    "FILES": [{"fileData": ["a", "eA=="]}],
    "SETTINGS": {},
    "COMPLETED": "Y",
}
GUEST = {"EMAIL": "a@example.ru", "EXTRANET": "Y", "SONET_GROUP_ID": [1], "NAME": "n", "UF_DEPARTMENT": [1]}
PLACE = {"TYPE_ID": 1, "ENTITY_TYPE_ID": 8, "ENTITY_ID": 1, "CITY": "c"}
GOOD: tuple[tuple[str, dict[str, Any]], ...] = (
    ("tasks.task.add", {"fields": TASK}),
    ("tasks.task.update", {"taskId": 1, "fields": TASK}),
    ("tasks.task.list", {"filter": {"TAG": "a", ">ID": 0}, "order": {"ID": "asc"}, "select": ["ID"], "start": 0}),
    ("task.commentitem.add", {"TASKID": 1, "FIELDS": {"POST_MESSAGE": "x", "POST_DATE": "2026-01-05"}}),
    ("crm.item.productrow.set", {"ownerType": "D", "ownerId": 1, "productRows": [ROW]}),
    ("crm.item.productrow.add", {"fields": {"ownerType": "D", "ownerId": 1, **ROW}}),
    ("crm.deal.productrows.set", {"id": 1, "rows": [{"PRICE": 1, "DISCOUNT_TYPE_ID": 2, "DISCOUNT_RATE": 5}]}),
    ("crm.activity.add", {"fields": ACTIVITY}),
    ("crm.activity.todo.add", {"ownerTypeId": 2, "ownerId": 1, "deadline": "2026-01-05", "responsibleId": 1}),
    (
        "crm.timeline.comment.add",
        {"fields": {"ENTITY_TYPE": "deal", "ENTITY_ID": 1, "COMMENT": "c", "FILES": [["a", "eA=="]]}},
    ),
    ("crm.requisite.add", {"fields": {"ENTITY_TYPE_ID": 4, "ENTITY_ID": 1, "PRESET_ID": 1, "RQ_INN": "7"}}),
    ("crm.address.add", {"fields": PLACE}),
    ("user.add", GUEST),
    ("user.update", {"ID": 5, **GUEST}),
    ("sonet_group.create", {"NAME": "n", "SITE_ID": ["s1"], "OWNER_ID": 1, "PROJECT": "N", "KEYWORDS": "k"}),
    ("sonet_group.user.add", {"GROUP_ID": 1, "USER_ID": [5]}),
    ("socialnetwork.api.workgroup.get", {"params": {"groupId": 1, "select": ["USER_DATA"]}}),
    ("im.notify.personal.add", {"USER_ID": 5, "MESSAGE": "m", "TAG": "t", "CLIENT_ID": "c"}),
    ("im.v2.file.upload", {"dialogId": "5", "fields": {"name": "a", "content": "eA==", "message": "m"}}),
    (
        "disk.folder.uploadfile",
        {"id": 8001, "data": {"NAME": "a"}, "fileContent": ["a", "eA=="], "generateUniqueName": 1},
    ),
    (
        "event.bind",
        {"event": "ONCRMDEALADD", "handler": "http://127.0.0.1/", "auth_type": 1, "options": {"minTimeout": 1}},
    ),
    ("event.offline.get", {"filter": {"ID": 1}, "order": {"ID": "ASC"}, "limit": 5, "clear": 0}),
    ("v3:tasks.task.chat.message.send", {"fields": {"taskId": 1, "text": "t"}}),
    ("v3:tasks.task.result.list", {"filter": [["taskId", 1]]}),
)


def spoilt(params: Any) -> Any:
    """The parameters with one value after the other, at any depth, replaced by every piece of nonsense."""
    if isinstance(params, dict):
        for key, value in params.items():
            for other in (*WORDS, *spoilt(value)):
                yield {**params, key: other}
    elif isinstance(params, list):
        for index, value in enumerate(params):
            for other in (*WORDS, *spoilt(value)):
                yield [*params[:index], other, *params[index + 1 :]]


@pytest.mark.parametrize(("name", "params"), GOOD, ids=[name for name, _ in GOOD])
def test_one_wrong_value_among_right_ones_breaks_nothing(name: str, params: dict[str, Any]) -> None:
    portal = filled()
    portal.is_app = True
    assert portal.call(name, **params).result is not None
    for one in spoilt(params):
        run(portal, name, one)
