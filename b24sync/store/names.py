"""What pipelines, stages and users are called, also those that the portal no longer has."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from sqlalchemy import select, update

from b24sync.store.engine import Store
from b24sync.store.tables import norm_stages, portal_names

PIPELINE, STAGE, USER = "pipeline", "stage", "user"


@dataclass(frozen=True, slots=True)
class Name:
    """`parent_id` is a stage's pipeline; `group` its P, S or F; `gone`: deleted there, or a dismissed user."""

    kind: str
    id: str
    name: str
    parent_id: int = 0
    email: str = ""
    group: str = ""
    sort: int = 0
    gone: bool = False


def save_names(store: Store, portal: str, names: Sequence[Name]) -> None:
    """Store what the portal has now; what it had before stays, marked as gone."""
    table = portal_names
    rows = [
        {
            "portal": portal,
            "kind": name.kind,
            "id": name.id,
            "parent_id": name.parent_id,
            "name": name.name,
            "email": name.email,
            "stage_group": name.group,
            "sort": name.sort,
            "gone": name.gone,
        }
        for name in names
    ]
    statement = store.insert(table)
    kept = {name: statement.excluded[name] for name in ("name", "email", "stage_group", "sort", "gone")}
    statement = statement.on_conflict_do_update(index_elements=["portal", "kind", "id", "parent_id"], set_=kept)
    with store.write() as connection:
        connection.execute(update(table).where(table.c.portal == portal).values(gone=True))
        if rows:
            connection.execute(statement, rows)


def read_names(store: Store, portal: str) -> list[Name]:
    table = portal_names
    with store.read() as connection:
        rows = connection.execute(select(table).where(table.c.portal == portal)).all()
    return [
        Name(row.kind, row.id, row.name, row.parent_id, row.email, row.stage_group, row.sort, row.gone) for row in rows
    ]


def remember_norms(store: Store, portal: str, meant: Iterable[tuple[str, str, int, str]]) -> None:
    """Store which (pipeline id, stage id) the words (pipeline, stage) of norms mean."""
    rows = [
        {"portal": portal, "pipeline": pipeline, "stage": stage, "pipeline_id": pipeline_id, "stage_id": stage_id}
        for pipeline, stage, pipeline_id, stage_id in meant
    ]
    if not rows:
        return
    statement = store.insert(norm_stages)
    kept = {"pipeline_id": statement.excluded.pipeline_id, "stage_id": statement.excluded.stage_id}
    statement = statement.on_conflict_do_update(index_elements=["portal", "pipeline", "stage"], set_=kept)
    with store.write() as connection:
        connection.execute(statement, rows)


def meant_by_norms(store: Store, portal: str) -> dict[tuple[str, str], tuple[int, str]]:
    """(pipeline id, stage id) by the words that meant them last."""
    with store.read() as connection:
        rows = connection.execute(select(norm_stages).where(norm_stages.c.portal == portal)).all()
    return {(row.pipeline, row.stage): (row.pipeline_id, row.stage_id) for row in rows}
