"""Reading what portals post: every recorded event, forms as PHP writes them, garbage."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from b24sync.portal.events import HIDDEN, PLACEMENT, ROBOT, PortalEvent
from b24sync.transport.php_forms import MAX_DEPTH, MAX_PAIRS, NotReadable, read_body, read_form

RECORDED = Path(__file__).resolve().parents[3] / "shared" / "data" / "events"
FORM = "application/x-www-form-urlencoded"
NAMES = sorted(path.stem for path in RECORDED.glob("*.form")) or ["absent"]


def flat(tree: Any, path: str = "") -> dict[str, str]:
    """A tree by bracketed names, all values as texts."""
    if isinstance(tree, dict | list):
        steps = tree.items() if isinstance(tree, dict) else enumerate(tree)
        found: dict[str, str] = {}
        for name, value in steps:
            found |= flat(value, f"{path}[{name}]" if path else str(name))
        return found
    return {path: str(tree)}


def received(body: dict[str, str] | bytes, content_type: str = FORM) -> PortalEvent:
    raw = body if isinstance(body, bytes) else urlencode(body).encode()
    return PortalEvent.received(raw, content_type)


@pytest.mark.parametrize(
    ("row", "posted"),
    [
        (
            {"EVENT_NAME": "OnCrmDealUpdate", "EVENT_DATA": {"FIELDS": {"ID": 42}}},
            {"event": "ONCRMDEALUPDATE", "data[FIELDS][ID]": "42"},
        ),
        (
            {"EVENT_NAME": "ONCRMDYNAMICITEMUPDATE", "EVENT_DATA": {"FIELDS": {"ENTITY_TYPE_ID": "130", "ID": "7"}}},
            {
                "event": "ONCRMDYNAMICITEMUPDATE",
                "data[FIELDS][ID]": "7",
                "data[FIELDS][ENTITY_TYPE_ID]": "130",
            },
        ),
        (
            {
                "EVENT_NAME": "ONTASKCOMMENTADD",
                "EVENT_DATA": {"FIELDS_AFTER": {"ID": 0, "MESSAGE_ID": 9, "TASK_ID": 5}},
            },
            {
                "event": "ONTASKCOMMENTADD",
                "data[FIELDS_BEFORE]": "undefined",
                "data[FIELDS_AFTER][ID]": "0",
                "data[FIELDS_AFTER][MESSAGE_ID]": "9",
                "data[FIELDS_AFTER][TASK_ID]": "5",
            },
        ),
    ],
)
def test_an_offline_event_folds_with_the_same_one_posted(row: dict[str, Any], posted: dict[str, str]) -> None:
    queued = PortalEvent.queued({"ID": "1", "TIMESTAMP_X": "2026-07-18T12:32:31+02:00", "MESSAGE_ID": "a", **row})
    told = received({**posted, "ts": "1766047124"})
    assert (queued.name, queued.kind) == (told.name, told.kind)
    assert PortalEvent.stored(queued.body).kind == told.kind


@pytest.mark.parametrize("row", [{}, {"EVENT_NAME": False}, {"EVENT_NAME": "x y"}])
def test_an_offline_event_without_a_name_is_none(row: dict[str, Any]) -> None:
    with pytest.raises(NotReadable):
        PortalEvent.queued({**row, "EVENT_DATA": {"FIELDS": {"ID": 1}}})


# -- recorded events -----------------------------------------------------------------------------------------------


def recorded(name: str) -> tuple[bytes, dict[str, str]]:
    if not RECORDED.is_dir():
        pytest.skip(f"no recorded events at {RECORDED}")
    body = (RECORDED / f"{name}.form").read_bytes().strip()
    return body, flat(json.loads((RECORDED / f"{name}.json").read_text(encoding="utf-8")))


@pytest.mark.shared
@pytest.mark.parametrize("name", NAMES)
def test_a_recorded_event_parses_to_what_was_recorded(name: str) -> None:
    body, expected = recorded(name)
    assert flat(read_body(body, FORM)) == expected


@pytest.mark.shared
@pytest.mark.parametrize("name", NAMES)
def test_a_recorded_event_is_named_and_its_secrets_are_hidden_but_nothing_else(name: str) -> None:
    body, expected = recorded(name)
    event = PortalEvent.received(body, FORM)
    assert event.name == expected.get("event", PLACEMENT if "PLACEMENT" in expected else ROBOT)
    assert event.token == expected.get("auth[application_token]", "")
    kept = flat(event.body)
    hidden = {key for key, value in kept.items() if value == HIDDEN}
    assert {key for key in expected if "token" in key or key in ("AUTH_ID", "REFRESH_ID")} == hidden
    assert {key: value for key, value in kept.items() if key not in hidden} == {
        key: value for key, value in expected.items() if key not in hidden
    }
    assert not [value for key, value in expected.items() if key in hidden and value in json.dumps(event.body)]
    assert PortalEvent.stored(json.loads(json.dumps(event.body))).kind == event.kind


# -- what folds ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("form", "entity_id", "kind"),
    [
        ({"event": "onCrmDealUpdate", "data[FIELDS][ID]": "42"}, 42, "ONCRMDEALUPDATE:42"),
        ({"event": "ONCRMDEALDELETE", "data[FIELDS_BEFORE][ID]": "42"}, 42, "ONCRMDEALDELETE:42"),
        (
            {"event": "ONTASKDELETE", "data[FIELDS_BEFORE][ID]": "7", "data[FIELDS_AFTER]": "undefined"},
            7,
            "ONTASKDELETE:7",
        ),
        (
            {"event": "ONTASKADD", "data[FIELDS_BEFORE]": "undefined", "data[FIELDS_AFTER][ID]": "7"},
            7,
            "ONTASKADD:7",
        ),
        (
            {
                "event": "ONTASKCOMMENTADD",
                "data[FIELDS_AFTER][ID]": "0",
                "data[FIELDS_AFTER][MESSAGE_ID]": "1458",
                "data[FIELDS_AFTER][TASK_ID]": "555",
            },
            None,
            "ONTASKCOMMENTADD:555:0:1458",
        ),
        (
            {"event": "ONCRMDYNAMICITEMUPDATE", "data[FIELDS][ID]": "24", "data[FIELDS][ENTITY_TYPE_ID]": "1220"},
            24,
            "ONCRMDYNAMICITEMUPDATE:1220:24",
        ),
        ({"event": "ONCRMTIMELINECOMMENTADD", "data[ID]": "9"}, 9, "ONCRMTIMELINECOMMENTADD:9"),
        (
            {"event_token": "t", "document_id[0]": "crm", "workflow_id": "66e8.1", "code": "robot"},
            None,
            "ROBOT:66e8.1:robot",
        ),
    ],
)
def test_events_about_one_thing_fold_and_others_do_not(form: dict[str, str], entity_id: int | None, kind: str) -> None:
    event = received(form)
    assert (event.entity_id, event.kind) == (entity_id, kind)


def test_events_without_ids_fold_when_they_are_equal() -> None:
    one, same, other = (received({"event": "ONAPPTEST", "data[QUERY]": text}).kind for text in ("a", "a", "b"))
    assert one == same != other
    strange = received({"event": "ONCRMDEALUPDATE", "data[FIELDS][ID]": "x" * 10_000}).kind
    assert len(strange) <= 200


def test_a_bots_tokens_inside_data_are_hidden_too() -> None:
    event = received(
        {
            "event": "ONIMBOTMESSAGEADD",
            "data[BOT][7][AUTH][access_token]": "verysecret1",
            "data[BOT][7][AUTH][refresh_token]": "verysecret2",
            "data[BOT][7][access_token]": "verysecret3",
            "data[PARAMS][MESSAGE]": "access_token",
        }
    )
    assert "verysecret" not in json.dumps(event.body)
    assert event.data["PARAMS"] == {"MESSAGE": "access_token"}


def test_json_bodies_are_read_like_forms() -> None:
    body = {"event": "ONCRMDEALADD", "data": {"FIELDS": {"ID": 7}}, "auth": {"application_token": "t0ken"}}
    event = received(json.dumps(body).encode(), "application/json; charset=utf-8")
    assert (event.kind, event.token, event.entity_id) == ("ONCRMDEALADD:7", "t0ken", 7)


# -- forms ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "tree"),
    [
        ("a[b][c]=1&a[b][d]=2", {"a": {"b": {"c": "1", "d": "2"}}}),
        ("a%5Bb%5D=%D0%B0%2B+1", {"a": {"b": "а+ 1"}}),
        ("a[]=x&a[]=y", {"a": ["x", "y"]}),
        ("a[0]=x&a[1]=y&b[1]=z", {"a": ["x", "y"], "b": {"1": "z"}}),
        ("a=1&a[b]=2", {"a": {"b": "2"}}),
        ("&a=&", {"a": ""}),
        ("", {}),
    ],
)
def test_forms_are_read_as_php_writes_them(text: str, tree: dict[str, Any]) -> None:
    assert read_form(text) == tree


NAME = st.text("abcXYZ_09", min_size=1, max_size=5)
TREE = st.recursive(
    st.text(max_size=8), lambda inner: st.dictionaries(NAME, inner, min_size=1, max_size=3), max_leaves=12
)


@given(st.dictionaries(NAME, TREE, max_size=4))
def test_every_tree_survives_its_form(tree: dict[str, Any]) -> None:
    pairs = flat(tree)
    text = "&".join(f"{quote(name, safe='')}={quote(value, safe='')}" for name, value in pairs.items())
    assert flat(read_form(text)) == pairs


@pytest.mark.parametrize(
    "body",
    [
        b"garbage",
        b"a" + b"[b]" * (MAX_DEPTH + 1) + b"=1",
        b"&".join(b"a%d=1" % number for number in range(MAX_PAIRS + 5)),
        b"[a]=1&event=ONCRMDEALADD",
        b"event=ONCRMDEALADD&a[b=1",
        b"{not json",
        b"[]",
        b'{"event": "ONCRMDEALADD", "data": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        b'{"event": 7}',
        b"event=",
        b"event=../../etc/passwd",
        b"",
        b"data[FIELDS][ID]=42",
        b"\xff\xfe\x00",
    ],
)
def test_what_is_no_event_is_not_readable_and_the_reason_tells_none_of_it(body: bytes) -> None:
    for content_type in (FORM, "application/json", "text/plain", ""):
        with pytest.raises(NotReadable) as caught:
            PortalEvent.received(body, content_type)
        assert "passwd" not in str(caught.value)


@given(
    st.one_of(st.binary(max_size=300), st.text(max_size=300).map(lambda text: text.encode("utf-8", "surrogatepass")))
)
def test_whatever_comes_it_is_an_event_or_not_readable(body: bytes) -> None:
    for prefix in (b"", b"event=ONCRMDEALADD&", b'{"event":"ONCRMDEALADD","data":'):
        for content_type in (FORM, "application/json"):
            try:
                event = PortalEvent.received(prefix + body, content_type)
            except NotReadable:
                continue
            json.dumps(event.body, ensure_ascii=False).encode()
            assert len(event.kind.encode()) <= 200 * 4
