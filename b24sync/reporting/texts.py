"""What reports say to people, in Russian and English; JSON and CSV carry the keys instead."""

from __future__ import annotations

from collections.abc import Mapping

RU, EN = "ru", "en"
LANGUAGES = (RU, EN)

_WORDS: Mapping[str, tuple[str, str]] = {
    "delays": ("Просрочки по стадиям", "Delays by stage"),
    "responsible": ("Работа ответственных", "Work of the responsible"),
    "stages": ("Стадии", "Stages"),
    "deals_by_delay": ("Сделки", "Deals"),
    "deal_id": ("ID сделки", "Deal ID"),
    "title": ("Сделка", "Deal"),
    "pipeline": ("Воронка", "Pipeline"),
    "stage": ("Стадия", "Stage"),
    "entered_at": ("Начало", "Entered"),
    "left_at": ("Окончание", "Left"),
    "planned_days": ("План, дней", "Planned, days"),
    "actual_days": ("Факт, дней", "Actual, days"),
    "delay_days": ("Просрочка, дней", "Delay, days"),
    "estimated": ("Оценка", "Estimated"),
    "user_id": ("ID", "ID"),
    "name": ("Ответственный", "Responsible"),
    "deals": ("Сделок", "Deals"),
    "opportunity": ("Сумма", "Amount"),
    "won": ("Выиграно", "Won"),
    "lost": ("Проиграно", "Lost"),
    "minutes_in_work": ("В работе, минут", "In work, minutes"),
    "hours_in_work": ("В работе, часов", "In work, hours"),
    "days_in_work": ("В работе, дней", "In work, days"),
    "overdue_deals": ("С просрочкой", "Overdue"),
    "entered": ("Вошло", "Entered"),
    "left": ("Вышло", "Left"),
    "standing": ("Стоит", "Standing"),
    "conversion": ("Конверсия", "Conversion"),
    "median_days": ("Медиана, дней", "Median, days"),
    "p90_days": ("90 % быстрее, дней", "90th percentile, days"),
    "total": ("Итого", "Total"),
    "as_of": ("по состоянию на", "as of"),
    "period": ("период", "period"),
    "since_ever": ("с начала", "from the beginning"),
    "yes": ("да", "yes"),
    "no": ("нет", "no"),
    "unknown_stage": ("(неизвестно)", "(unknown)"),
    "nobody": ("(не назначен)", "(nobody)"),
    "more_rows": ("ещё строк: {count}; все - в файле XLSX или CSV", "{count} more rows; an XLSX or CSV file has all"),
    "nothing": ("Ничего нет за этот период.", "Nothing in this period."),
    "currencies": ("Суммы в разных валютах сложены: {list}", "Amounts of several currencies are added up: {list}"),
    "made_by": ("Составлено b24sync", "Made by b24sync"),
    "late_deals": ("Сделок с просрочкой", "Deals with a delay"),
    "delay_by_stage": ("Просрочка по стадиям, дней", "Delay by stage, days"),
    "time_by_stage": ("Время в стадии, дней", "Time in a stage, days"),
    "median": ("медиана", "median"),
    "p90": ("90 %", "90th percentile"),
    "funnel": ("Вошло, вышло, стоит", "Entered, left, standing"),
    "hours_by_person": ("В работе, часов", "In work, hours"),
    "won_and_lost": ("Выиграно и проиграно, сделок", "Won and lost, deals"),
    "report_ready": ("Отчёт «{report}» готов: {link}", "The report \u201c{report}\u201d is ready: {link}"),
}


ABSENT: Mapping[str, str] = {"stage": "unknown_stage", "name": "nobody"}
"""What a column says where it has no value; the others stay empty."""


def word(key: str, language: str) -> str:
    """The text of `key`."""
    return _WORDS[key][LANGUAGES.index(language)]
