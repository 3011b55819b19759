"""Which names mean which field, per entity type, for both dialects; rebuilt when user fields change."""

from __future__ import annotations

from collections.abc import Iterable

from .entities import EntityType
from .fields import DISABLED, HAS_MULTIFIELDS, Field, fields_of
from .userfields import item_name


def has_default(item: Field) -> bool:
    """Whether a new item may get a value of this user field by itself."""
    default = item.settings.get("DEFAULT_VALUE")
    if item.kind in ("date", "datetime"):
        return isinstance(default, dict) and default.get("TYPE") in ("NOW", "FIXED")
    return item.kind == "enumeration" or default not in (None, "")


class Schema:
    """Fields of one entity type, by the names of each dialect."""

    def __init__(self, entity: EntityType, user_fields: Iterable[Field], parents: Iterable[EntityType]) -> None:
        self.entity = entity
        parent_fields = [
            Field(
                f"parentId{parent.id}",
                f"PARENT_ID_{parent.id}",
                "crm_entity",
                parent.title,
                parent_type=parent.id,
                settings={"parentEntityTypeId": parent.id},
            )
            for parent in parents
            if parent.id != entity.id
        ]
        self.system: tuple[Field, ...] = (*fields_of(entity), *parent_fields)
        self.user: tuple[Field, ...] = tuple(user_fields)
        self.all: tuple[Field, ...] = (*self.system, *self.user)
        self.mandatory = tuple(item for item in self.user if item.required)
        self.with_default = tuple(item for item in self.user if has_default(item))
        self.by_code: dict[str, Field] = {item.code: item for item in self.all}
        self.multifields = entity.id in HAS_MULTIFIELDS
        self.disabled = DISABLED.get(entity.id, ())
        self._camel = self._camel_names()
        self.camel_name: dict[str, str] = {code: name for name, code in self._camel.items()}
        plain = {item.code: item for item in self.system if not item.classic_only}
        self.items: tuple[Field, ...] = tuple(item for item in self.all if not item.classic_only)
        self._item_names = {
            False: {**plain, **{self.camel_name[item.code]: item for item in self.user}},
            True: {**plain, **{item.code: item for item in self.user}},
        }
        self._both = {**self._item_names[False], **self._item_names[True]}
        self._filter_names = {
            key: {**{item.upper_name: item for item in plain.values()}, **names}
            for key, names in self._item_names.items()
        }
        self.classic: dict[str, Field] = {item.classic: item for item in self.all if item.classic}

    def _camel_names(self) -> dict[str, str]:
        """Item name -> code of user fields; a name that is taken falls back to the original (index.md)."""
        taken = {item.code for item in self.system}
        names: dict[str, str] = {}
        for item in self.user:
            name = item_name(item.code)
            if name in taken or name in names:
                name = item.code
            names[name] = item.code
        return names

    def item_names(self, original: bool, *, both: bool = False) -> dict[str, Field]:
        """Names accepted in `fields` and `select` of crm.item.*; `original` = useOriginalUfNames."""
        return self._both if both else self._item_names[original]

    def filter_names(self, original: bool, *, both: bool = False) -> dict[str, Field]:
        """Names accepted in filter and order: also upper case system names (recorded clients send `ID`)."""
        return {**self._filter_names[original], **self._both} if both else self._filter_names[original]

    def out_name(self, item: Field, original: bool) -> str:
        """Name of a field in an answer of crm.item.*."""
        return item.code if original or not item.is_user_field else self.camel_name[item.code]
