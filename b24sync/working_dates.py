"""Which dates are worked on in a country."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date

from b24sync.errors import ConfigError


def working_dates(country: str) -> Callable[[date], bool]:
    """Whether a date is worked on: weekends and holidays are not, moved working days are. `RU`, `KZ`, `DE-BY` ...

    Moved days are known as far as the `holidays` package knows the government's decrees.
    """
    import holidays

    name, _, subdivision = country.partition("-")
    try:
        days = holidays.country_holidays(name, subdiv=subdivision or None)
    except NotImplementedError:
        raise ConfigError(
            f"[recount] country = {country!r}: no holidays are known for it.",
            ["use a country's two letters, such as RU, KZ or DE, with a region where it has its own: DE-BY"],
        ) from None
    is_working: Callable[[date], bool] = days.is_working_day
    return is_working
