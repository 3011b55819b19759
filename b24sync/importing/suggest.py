"""`import suggest`: a mapping guessed from titles and values; what is not certain is marked with `# ?` and a reason.

Titles are compared with what Bitrix24 calls its fields in three languages, with what other systems call them, and with
the portal's own user fields; values with forms of dates, numbers and addresses, and with the portal's stages, people,
dictionaries and lists.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from typing import Any

from b24sync.importing import fields, guessing, values
from b24sync.importing.fields import Field, Kind
from b24sync.importing.foreign_titles import KEY_ENDINGS, KEY_TITLES, SYNONYMS
from b24sync.importing.portal_titles import known_title, known_titles
from b24sync.importing.source import DateCell, NumberCell, Source
from b24sync.importing.titles import fold
from b24sync.importing.toml_text import inline, quoted
from b24sync.portal.directory import Directory, normal

SAMPLE_ROWS = 2000
_SURE, _LIKELY = 0.9, 0.6
_OF_ENTITY = {
    "contact": ("last_name", "name", "second_name", "post", "birthdate", "honorific"),
    "company": ("industry", "employees", "revenue", "banking_details"),
    "deal": ("stage", "opportunity", "close_date", "begin_date", "probability", "pipeline", "product_name"),
}


@dataclass(frozen=True, slots=True)
class Guess:
    """What a column probably becomes. `doubt` says why it has to be looked at; None = certain."""

    field: str
    doubt: str | None = None
    options: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    def doubted(self, reason: str) -> Guess:
        return dataclasses.replace(self, doubt=f"{self.doubt}; {reason}" if self.doubt else reason)


LEFT_OUT = "-"


class Suggestion:
    """A mapping guessed for one file. `directory` is the portal's, None where there is none to ask.

    `entity` is guessed too where it is not said; `entity_guessed` where somebody else has guessed it.
    """

    def __init__(
        self,
        source: Source,
        directory: Directory | None = None,
        entity: str | None = None,
        *,
        entity_guessed: bool = False,
    ) -> None:
        self._entity_guessed = entity_guessed or not entity
        self._source = source
        self._directory = directory
        self._said_entity = entity
        self.rows = 0

    @cached_property
    def entity(self) -> str:
        """The entity that was said, else the one whose fields the titles name most."""
        if self._said_entity:
            return self._said_entity
        titles = [title for title in self._source.header if title]
        scores = {entity: self._entity_score(entity, titles) for entity in ("deal", "company", "contact")}
        lead = any("лид" in fold(title).split() or fold(title).startswith("lead ") for title in titles)
        return "lead" if lead else max(scores, key=lambda entity: scores[entity])

    def _entity_score(self, entity: str, titles: Sequence[str]) -> float:
        named = {self._by_title(entity, title) for title in titles} - {None}
        own = sum(2.0 for name in _OF_ENTITY[entity] if name in named)
        reached = len(named & {"phone", "email", "web"}) if entity != "deal" else 0
        return own + 0.5 * reached + 0.1 * len(named)

    @cached_property
    def _columns(self) -> list[list[str]]:
        """The filled cells of each column, of a sample of rows."""
        found: list[list[str]] = [[] for _ in self._source.header]
        for _, cells in islice(self._source.rows(), SAMPLE_ROWS):
            self.rows += any(cells)
            for texts, cell in zip(found, cells, strict=False):
                if cell:
                    texts.append(cell)
        return found

    @cached_property
    def key(self) -> tuple[int, str | None]:
        """(column whose values tell the rows apart, doubt)."""
        unique = [
            index
            for index, texts in enumerate(self._columns)
            if texts and len(texts) == self.rows and len(set(texts)) == len(texts) and self._source.header[index]
        ]
        folded = [fold(title) for title in self._source.header]
        named = [index for index in unique if folded[index] in KEY_TITLES]
        ending = [index for index in unique if folded[index].endswith(KEY_ENDINGS)]
        if named or ending:
            return (named or ending)[0], None
        if unique:
            return unique[0], "no column is called an id; this one has a different value in every row"
        filled = [index for index, title in enumerate(folded) if title in KEY_TITLES]
        return (filled or [0])[0], "no column has a different value in every row: which one tells the rows apart?"

    @cached_property
    def guesses(self) -> list[Guess]:
        """One for each column. A field of one value is given to the column that fits best."""
        found = [self._guess(index) for index in range(len(self._source.header))]
        taken: dict[str, int] = {}
        for index in sorted(range(len(found)), key=lambda index: found[index].doubt is not None):
            name = found[index].field
            known = fields.find_field(self.entity, name) if name != LEFT_OUT else None
            if known is None or known.multiple:
                continue
            if name in taken:
                first = self._source.header[taken[name]]
                found[index] = Guess(LEFT_OUT, f'looks like {name} too, which "{first}" fills already')
            else:
                taken[name] = index
        if "product_name" in taken and "product_price" not in taken:
            index = taken["product_name"]
            found[index] = found[index].doubted("makes a product row, and no column is its price")
        return found

    # -- one column -----------------------------------------------------------------------------------

    def _guess(self, index: int) -> Guess:
        title, texts = self._source.header[index], self._columns[index]
        if index == self.key[0] and not self._by_title(self.entity, title):
            return Guess(LEFT_OUT)
        known = known_title(self.entity, title) if title else None
        if known is not None and not known.field:
            return Guess(LEFT_OUT)
        name = self._by_title(self.entity, title)
        guess = self._by_values(texts) if name is None else self._checked(name, title, texts)
        if known is not None and known.value_type and guess.field == known.field:
            guess = dataclasses.replace(guess, options={**guess.options, "value_type": known.value_type})
        return guess

    def _by_title(self, entity: str, title: str) -> str | None:
        """The field that a title names, by the portal's words first."""
        folded = fold(title)
        if not folded:
            return None
        if self._directory is not None:
            own = [
                c for c, info in self._directory.fields.items() if c.startswith("UF_") and fold(info.title) == folded
            ]
            if own:
                return own[0]
        known = known_titles(entity).get(folded)
        if known is not None and known.field:
            return known.field
        fillable = fields.entity_fields(entity)
        words = folded.replace(" ", "_")
        by_name = next((name for name in fillable if fold(name) == words), None)
        if entity == "company" and folded in SYNONYMS["company"]:
            return "title"
        by_synonym = next((name for name, titles in SYNONYMS.items() if folded in titles and name in fillable), None)
        return by_name or by_synonym

    def _checked(self, name: str, title: str, texts: Sequence[str]) -> Guess:
        """The field that the title names, doubted where the values do not fit it."""
        known = fields.find_field(self.entity, name)
        assert known is not None, name
        guess = Guess(name, None, self._options(known, texts))
        if not texts:
            return guess
        share, expected = self._fit(known, guess, texts)
        if share < _SURE:
            return guess.doubted(f"only {share:.0%} of the values are {expected}{self._strangers(known, texts)}")
        if "format" in guess.options and not (guessing.date_form(texts) or _NO_FORM).sure:
            return guess.doubted("day and month may be the other way round")
        if known.kind in fields.LINKS:
            return guess.doubted(_LINK_DOUBTS[str(guess.options["match"])])
        return guess

    def _fit(self, known: Field, guess: Guess, texts: Sequence[str]) -> tuple[float, str]:
        """Which share of the values the field takes, and what it takes in words."""
        names = self._names(known)
        if names is not None:
            return sum(normal(text) in names for text in texts) / len(texts), "known to the portal"
        kind, of_user = known.kind, self._user_type(known)
        if kind in fields.TEMPORAL or of_user in ("date", "datetime"):
            return guessing.share_of(texts, values.moment_parser(guess.options.get("format"))), "dates"
        if kind in fields.NUMERIC or of_user in ("integer", "double", "money"):
            return sum(map(guessing.is_number, texts)) / len(texts), "numbers"
        check = _CHECKS.get(kind) or (values.bool_converter if of_user == "boolean" else None)
        return (guessing.share_of(texts, check), "of that kind") if check else (1.0, "")

    def _strangers(self, known: Field, texts: Sequence[str]) -> str:
        names = self._names(known)
        if names is None:
            return ""
        lost = Counter(text for text in texts if normal(text) not in names)
        shown = ", ".join(quoted(text) for text, _ in lost.most_common(5))
        more = f" and {len(lost) - 5} more" if len(lost) > 5 else ""
        return f"; not {shown}{more}: say them in map, or give a default"

    def _names(self, known: Field) -> frozenset[str] | None:
        """Normal forms of what a field of names takes; None where it takes anything, or nobody can be asked."""
        directory = self._directory
        if directory is None:
            return None
        kind, of_user = known.kind, self._user_type(known)
        if kind in (Kind.USER, Kind.USERS) or of_user == "employee":
            spoken = {name for user in directory.users if user.active for name in _spoken(user.name, user.email)}
            return frozenset(spoken | {str(user.id) for user in directory.users})
        if kind is Kind.PIPELINE:
            return frozenset(normal(pipeline.name) for pipeline in directory.pipelines)
        if kind is Kind.STAGE:
            return frozenset(normal(stage.name) for stage in directory.stages)
        if kind is Kind.STATUS:
            return frozenset(map(normal, directory.dictionaries.get(known.dictionary or "", {}).values()))
        if of_user == "enumeration":
            return frozenset(map(normal, directory.fields[known.name].items.values()))
        return None

    def _user_type(self, known: Field) -> str:
        if known.kind is not Kind.USER_FIELD or self._directory is None:
            return ""
        return self._directory.fields[known.name].type

    def _options(self, known: Field, texts: Sequence[str]) -> dict[str, Any]:
        kind, of_user = known.kind, self._user_type(known)
        if kind in fields.TEMPORAL or of_user in ("date", "datetime"):
            form = guessing.date_form(texts)
            date_only = kind is Kind.DATE or of_user == "date"
            said = (form.exact if date_only and form.has_time else form.format) if form else None
            return {"format": said} if said else {}
        if kind in fields.NUMERIC or of_user in ("integer", "double", "money"):
            mark = guessing.decimal_mark([text for text in texts if not isinstance(text, NumberCell)])
            return {"decimal": mark} if mark else {}
        if kind in fields.LINKS:
            by_id = texts and sum(text.isdigit() for text in texts) >= _SURE * len(texts)
            return {"match": "origin"} if by_id else {"match": "title", "create": True}
        several = known.multiple or (kind is Kind.USER_FIELD and self._is_multiple(known.name))
        mark = _separator(texts) if several else None
        return {"separator": mark} if mark else {}

    def _is_multiple(self, code: str) -> bool:
        return self._directory is not None and self._directory.fields[code].multiple

    def _by_values(self, texts: Sequence[str]) -> Guess:
        """The field that values alone speak for: always doubtful; left out where none does."""
        if not texts:
            return Guess(LEFT_OUT)
        best: tuple[float, str] = (0.0, LEFT_OUT)
        for name, share in self._value_scores(texts):
            if share > best[0]:
                best = share, name
        if best[0] < _LIKELY:
            return Guess(LEFT_OUT, f"not recognised; holds {_shown(texts)}")
        known = fields.find_field(self.entity, best[1])
        assert known is not None
        return Guess(best[1], f"by its values alone ({best[0]:.0%} fit)", self._options(known, texts))

    def _value_scores(self, texts: Sequence[str]) -> Iterator[tuple[str, float]]:
        fillable = fields.entity_fields(self.entity)
        plain = [text for text in texts if not isinstance(text, NumberCell | DateCell)]
        for name, kind in (("email", Kind.EMAIL), ("web", Kind.WEB), ("phone", Kind.PHONE)):
            if name in fillable and len(plain) == len(texts):
                yield name, guessing.share_of(texts, _STRICT_CHECKS[kind])
        for name in ("stage", "assigned_by", "pipeline", "source", "type", "industry", "employees"):
            names = self._names(fillable[name]) if name in fillable else None
            if names:
                yield name, sum(normal(text) in names for text in texts) / len(texts)
        for code, info in self._directory.fields.items() if self._directory else ():
            if code.startswith("UF_") and info.type == "enumeration" and info.items:
                known = {normal(text) for text in info.items.values()}
                yield code, 0.99 * sum(normal(text) in known for text in texts) / len(texts)

    # -- the text ---------------------------------------------------------------------------------------

    @cached_property
    def _pipeline(self) -> tuple[str, str | None] | None:
        """(pipeline, doubt) that the stages of the file belong to; None where a column or the main one says it."""
        places = [index for index, guess in enumerate(self.guesses) if guess.field == "stage"]
        if self._directory is None or not places or any(guess.field == "pipeline" for guess in self.guesses):
            return None
        wanted = {normal(text) for text in self._columns[places[0]]}
        held = {
            pipeline.name: len(wanted & {normal(stage.name) for stage in self._directory.stages_of(pipeline.id)})
            for pipeline in self._directory.pipelines
        }
        name, count = max(held.items(), key=lambda item: item[1])
        if not name or not count or not fields.find_field(self.entity, "pipeline"):
            return None
        return name, None if count == len(wanted) else f"it has {count} of the {len(wanted)} stages of the file"

    def lines(self, file_name: str) -> Iterator[str]:
        """The mapping file, line by line."""
        header = self._source.header
        guesses, (key, key_doubt) = self.guesses, self.key
        doubtful = sum(guess.doubt is not None for guess in guesses)
        asked = "titles, values and the portal" if self._directory else "titles and values; no portal was asked"
        yield f"# Guessed for {file_name} from {asked}."
        yield f"# {doubtful} of {len(guesses)} columns are doubtful, each marked with `# ?` and a reason."
        entity_doubt = "guessed: say it with --entity if it is another one" if self._entity_guessed else None
        yield _line("entity", quoted(self.entity), entity_doubt)
        originator = fold(file_name.rsplit(".", 1)[0]).replace(" ", "-")[:50] or "file"
        yield _line("originator", quoted(originator), "name the source: all its files share it")
        yield _line("key", quoted(self._name(key)), key_doubt)
        yield "\n[columns]"
        for index, guess in enumerate(guesses):
            if not header[index] and not self._columns[index]:
                continue
            options: Mapping[str, Any] | str = (
                LEFT_OUT if guess.field == LEFT_OUT else {"field": guess.field, **guess.options}
            )
            yield _line(quoted(self._name(index)), inline(options), guess.doubt)
        yield from self._constants()
        if "title" in fields.entity_fields(self.entity) and not any(guess.field == "title" for guess in guesses):
            template = " / ".join(f"{{{self._in_template(index)}}}" for index in self._title_columns())
            yield "\n[templates]"
            yield _line("title", quoted(template), "no column is a title: make one of others")

    def _constants(self) -> Iterator[str]:
        lines = []
        if self._pipeline is not None:
            lines.append(_line("pipeline", quoted(self._pipeline[0]), self._pipeline[1]))
        if not any(guess.field == "currency" for guess in self.guesses):
            marks = self._currencies()
            if marks:
                doubt = None if len(marks) == 1 else "several stand beside amounts"
                lines.append(_line("currency", quoted(marks.most_common(1)[0][0]), doubt))
        if lines:
            yield "\n[constants]"
            yield from lines

    def _currencies(self) -> Counter[str]:
        """Currencies written beside amounts."""
        found: Counter[str] = Counter()
        for guess, texts in zip(self.guesses, self._columns, strict=True):
            if guess.field in ("opportunity", "revenue", "product_price"):
                for text in texts:
                    try:
                        currency = values.parse_amount(text, guess.options.get("decimal") or ",").currency
                    except values.BadValue:
                        continue
                    if currency:
                        found[currency] += 1
        return found

    def _title_columns(self) -> list[int]:
        wanted = ("company", "contact", "comments", "product_name")
        found = [index for index, guess in enumerate(self.guesses) if guess.field in wanted]
        return [*found[:2], self.key[0]]

    def _in_template(self, index: int) -> str:
        name = self._name(index)
        return name if not set(name) & set("{}") else f"column {index + 1}"

    def _name(self, index: int) -> str:
        title = self._source.header[index]
        return title if title and self._source.header.count(title) == 1 else f"column {index + 1}"


_LINK_DOUBTS = {
    "title": "by title, and what is not found is made; match may be origin, email or phone",
    "origin": "numbers: the key that the other object was imported with? match may be id",
}
_NO_FORM = guessing.DateForm(None, None, sure=True, has_time=False)
_CHECKS: Mapping[Kind, Callable[[str], object]] = {
    Kind.EMAIL: values.email,
    Kind.PHONE: values.phone,
    Kind.WEB: values.web,
    Kind.BOOL: values.bool_converter,
    Kind.CURRENCY: values.currency_converter,
}


def _strict_phone(text: str) -> str:
    digits = sum(char.isdigit() for char in text)
    if not 10 <= digits <= 15 or not (text.startswith("+") or any(char in "()- " for char in text) or digits == 11):
        raise values.BadValue("BAD_PHONE", "a phone number")
    return values.phone(text)


def _strict_web(text: str) -> str:
    if not text.lower().startswith(("http://", "https://", "www.")):
        raise values.BadValue("BAD_URL", "a web address")
    return values.web(text)


_STRICT_CHECKS = {Kind.EMAIL: values.email, Kind.PHONE: _strict_phone, Kind.WEB: _strict_web}


def _spoken(name: str, email: str) -> set[str]:
    return {normal(name), normal(email), " ".join(reversed(normal(name).split()))}


def _separator(texts: Sequence[str]) -> str | None:
    """What parts several values in one cell, where a tenth of the cells have it."""
    for mark in (";", "\n", ", ", "|"):
        if texts and sum(mark in text for text in texts) * 10 >= len(texts):
            return mark
    return None


def _shown(texts: Sequence[str]) -> str:
    shown = ", ".join(quoted(text[:40]) for text, _ in Counter(texts).most_common(3))
    return f"{shown}, ..." if len(set(texts)) > 3 else shown


def _line(name: str, value: str, doubt: str | None) -> str:
    reason = " ".join(doubt.split()) if doubt else ""
    return f"{name} = {value}  # ? {reason}" if doubt else f"{name} = {value}"
