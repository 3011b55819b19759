"""What a person writes after --filter becomes the portal's filter, or is told with what was probably meant."""

from __future__ import annotations

from typing import Any

import pytest

from b24sync.errors import ConfigError
from b24sync.portal.criteria import filter_of
from b24sync.portal.directory import Directory, FieldInfo, Pipeline, Stage, User

DIRECTORY = Directory(
    2,
    [User(7, "Анна Ким", "anna@example.ru", True)],
    [Pipeline(0, "Общая"), Pipeline(3, "Проекты")],
    [Stage("NEW", "Новая", 0, "process", 10), Stage("C3:NEW", "Новая", 3, "process", 10)],
    {"SOURCE": {"WEB": "Сайт"}},
    {
        info.code: info
        for info in (
            FieldInfo("UF_CRM_X", "enumeration", False, False, False, "Сегмент", {81: "Опт", 82: "Розница"}),
            FieldInfo("UF_CRM_VIP", "boolean", False, False, False, "Важный"),
            FieldInfo("sourceId", "crm_status", False, False, False, "Источник", dictionary="SOURCE"),
            FieldInfo("assignedById", "user", False, False, False, "Ответственный"),
            *(
                FieldInfo(code, kind, False, False, False, code)
                for code, kind in {
                    "id": "integer",
                    "stageId": "crm_status",
                    "categoryId": "crm_category",
                    "opportunity": "double",
                    "createdTime": "datetime",
                    "title": "string",
                    "companyId": "crm_company",
                }.items()
            ),
        )
    },
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("stage=Новая", {"@stageId": ["NEW", "C3:NEW"]}),
        ("stage = C3:NEW", {"=stageId": "C3:NEW"}),
        ("pipeline=проекты", {"=categoryId": 3}),
        ("assigned_by!=Анна Ким", {"!=assignedById": 7}),
        ("UF_CRM_X=Опт", {"=UF_CRM_X": 81}),
        ("source=Сайт", {"=sourceId": "WEB"}),
        ("opportunity>=1000", {">=opportunity": "1000"}),
        ("created_time<2026-01-01", {"<createdTime": "2026-01-01"}),
        ("title%ООО = я", {"%title": "ООО = я"}),
        ("title~ООО", {"%title": "ООО"}),
        ("UF_CRM_X=Опт|розница", {"@UF_CRM_X": [81, 82]}),
        ("UF_CRM_VIP=да", {"=UF_CRM_VIP": 1}),
        ("responsible=Ким Анна", {"=assignedById": 7}),
        ("company=", {"=companyId": ""}),
        ("id>5", {">id": "5"}),
    ],
)
def test_a_filter_is_read(text: str, expected: dict[str, Any]) -> None:
    assert filter_of([text], DIRECTORY) == expected


def test_everything_that_is_not_understood_is_told_at_once() -> None:
    wrong = ["stage=Новоя", "oportunity=1", "phone=1", "stage>Новая", "просто", "id>1", "id>2", "UF_CRM_VIP=дда"]
    with pytest.raises(ConfigError) as caught:
        filter_of(wrong, DIRECTORY)
    assert len(caught.value.problems) == 7
    told = str(caught.value)
    assert "nearest: Новая" in told and "nearest: opportunity" in told and "such a condition already" in told
