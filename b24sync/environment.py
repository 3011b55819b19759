"""Configuration from the environment: B24SYNC_PORTAL__WEBHOOK, B24SYNC_STORE__URL, ... (pydantic-settings)."""

from __future__ import annotations

from typing import Any

from pydantic import ValidationError
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict, SettingsError

from b24sync.errors import ConfigError


class _Environment(BaseSettings):
    model_config = SettingsConfigDict(env_prefix="B24SYNC_", env_nested_delimiter="__", extra="ignore")
    portal: dict[str, Any] | None = None
    portals: dict[str, Any] | None = None
    store: dict[str, Any] | None = None
    daemon: dict[str, Any] | None = None

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return (env_settings,)


def read_tables() -> dict[str, Any]:
    """Tables from the environment. Raises ConfigError that names variables, never their values."""
    try:
        return _Environment().model_dump(exclude_none=True)
    except (ValidationError, SettingsError) as error:
        tables = [str(item["loc"][0]) for item in error.errors()] if isinstance(error, ValidationError) else ["..."]
        raise ConfigError(
            "The environment has mistakes:",
            [f"B24SYNC_{table.upper()}: name one key, such as B24SYNC_PORTAL__WEBHOOK" for table in tables],
        ) from None
