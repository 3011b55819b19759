"""Reading parameters of a call, checking rights, refusing with the portal's own codes and texts."""

from __future__ import annotations

from typing import Any, NoReturn

from ..model.entities import DEAL, OLD_INVOICE, EntityType
from ..model.filters import FilterFault
from ..model.items import Item
from ..model.listing import Page
from ..model.saving import RequiredFault
from ..model.users import User
from ..model.values import FieldFault
from ..registry import Answer, ApiError, Call

NOT_SUPPORTED_NAMES = {OLD_INVOICE: "INVOICE"}


def argument(call: Call, name: str, default: Any = None) -> Any:
    """A top-level parameter in any letter case, as classic methods take them (samples use `fields` and `FIELDS`)."""
    if name in call.params:
        return call.params[name]
    wanted = name.lower()
    for key, value in call.params.items():
        if key.lower() == wanted:
            return value
    return default


def mapping(raw: Any) -> dict[str, Any]:
    """An object parameter; an empty PHP map arrives as []."""
    if isinstance(raw, list):
        return {str(index): value for index, value in enumerate(raw)}
    return raw if isinstance(raw, dict) else {}


def sequence(raw: Any) -> list[Any]:
    """A list parameter; PHP may send it as a map."""
    if isinstance(raw, dict):
        return list(raw.values())
    if isinstance(raw, list):
        return raw
    return [] if raw in (None, "") else [raw]


def integer(raw: Any) -> int | None:
    """A number or None for anything else."""
    try:
        return int(str(raw))
    except (TypeError, ValueError):
        return None


def is_yes(raw: Any) -> bool:
    return raw is True or str(raw).upper() in ("Y", "1", "TRUE")


# -- people -----------------------------------------------------------------------------------
def caller(call: Call) -> User:
    """The person behind the credential."""
    return call.portal.users[call.user_id]


def needs_intranet(call: Call) -> None:
    """crm.item.* is for employees only (api-reference/crm/universal/crm-item-get.md)."""
    if caller(call).kind != "employee":
        raise ApiError("allowed_only_intranet_user", "Действие разрешено только интранет-пользователям", status=403)


def holds(call: Call, right: str, entity: EntityType | None, item: Item | None) -> bool:
    user = caller(call)
    if entity is None:
        return user.may(right)
    return user.may(right, entity.name) if item is None else user.may_with(right, entity.name, item)


def needs_right(call: Call, right: str, entity: EntityType | None = None, item: Item | None = None) -> None:
    """Item dialect: ACCESS_DENIED."""
    if not holds(call, right, entity, item):
        raise ApiError("ACCESS_DENIED", "Доступ запрещен")


def needs_classic_right(call: Call, right: str, entity: EntityType | None = None, item: Item | None = None) -> None:
    """Classic dialect: no code, English text (api-reference/crm/deals/crm-deal-add.md)."""
    if not holds(call, right, entity, item):
        raise ApiError("", "Access denied.")


def needs_pipeline(call: Call, entity: EntityType, values: Item) -> None:
    """An item goes only into a pipeline that the role opens; without categoryId it is the default one."""
    default = call.portal.pipelines.default(entity.id)
    category_id = values.get("categoryId", default.id if default is not None else 0)
    if entity.id == DEAL and not caller(call).uses_pipeline(category_id):
        raise ApiError("ACCESS_DENIED", "Доступ запрещен")


def needs_admin(call: Call) -> None:
    """Business process methods: 403 (api-reference/bizproc/bizproc-workflow-start.md)."""
    if not caller(call).admin:
        raise ApiError("ACCESS_DENIED", "Access denied!", status=403)


# -- types ------------------------------------------------------------------------------------
def entity_of(call: Call, name: str = "entityTypeId") -> EntityType:
    """The type named by a parameter. Raises NOT_FOUND, ENTITY_TYPE_NOT_SUPPORTED, 100 when it is missing."""
    raw = call.params.get(name)
    if raw is None or raw == "":
        raise ApiError(100, f"Could not find value for parameter {{{name}}}")
    type_id = integer(raw)
    entity = call.portal.types.get(type_id) if type_id is not None else None
    if entity is None:
        if type_id in NOT_SUPPORTED_NAMES:
            name = NOT_SUPPORTED_NAMES[type_id]
            raise ApiError("ENTITY_TYPE_NOT_SUPPORTED", f"Entity type `{name}` is not supported")
        raise ApiError("NOT_FOUND", "Смарт-процесс не найден")
    return entity


# -- refusals ---------------------------------------------------------------------------------
def item_error(fault: FieldFault) -> ApiError:
    """A field fault in the item dialect (crm-item-add.md, crm-item-batch-import.md)."""
    if isinstance(fault, RequiredFault):
        if len(fault.names) == 1:
            return ApiError("CRM_FIELD_ERROR_REQUIRED", f'Поле "{fault.names[0]}" обязательно для заполнения')
        names = ", ".join(f"«{name}»" for name in fault.names)
        return ApiError("CRM_FIELD_ERROR_REQUIRED", f"Не заполнены обязательные поля: {names}")
    if fault.reason == "not_iterable":
        return ApiError(100, f"Expected iterable value for multiple field, but got `{fault.got}` instead")
    return ApiError("CRM_FIELD_ERROR_VALUE_NOT_VALID", f'Неверное значение поля "{fault.field.title}"')


def classic_error(fault: FieldFault) -> ApiError:
    """The same in the classic dialect: no code (crm-deal-add.md prints «Неверное значение поля «Валюта»»)."""
    if isinstance(fault, RequiredFault):
        return ApiError("", "<br>".join(f'Поле "{name}" обязательно для заполнения' for name in fault.names))
    return ApiError("", f"Неверное значение поля «{fault.field.title}»")


def bad_filter(fault: FilterFault) -> NoReturn:
    raise ApiError("INVALID_ARG_VALUE", str(fault)) from fault


# -- answers ----------------------------------------------------------------------------------
def listed_answer(result: Any, page: Page) -> Answer:
    """A list method's answer with total and next."""
    return Answer(result, total=page.total, next=page.next)
