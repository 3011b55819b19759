"""Which encoding a CSV file is in: byte order mark, else valid UTF-8, else the most plausible single-byte one."""

from __future__ import annotations

import codecs
import math
import re
from dataclasses import dataclass

# Share of each letter in running Russian text, percent; the rest of the alphabet counts as 0.3.
_SHARE = {
    "о": 10.97, "е": 8.45, "а": 8.01, "и": 7.35, "н": 6.70, "т": 6.26, "с": 5.47, "р": 4.73, "в": 4.54,
    "л": 4.40, "к": 3.49, "м": 3.21, "д": 2.98, "п": 2.81, "у": 2.62, "я": 2.01, "ы": 1.90, "ь": 1.74,
    "г": 1.70, "з": 1.65, "б": 1.59, "ч": 1.44, "й": 1.21, "х": 0.97, "ж": 0.94, "ш": 0.73, "ю": 0.64,
    "ц": 0.48, "щ": 0.36, "э": 0.32, "ф": 0.26, "ъ": 0.04, "ё": 0.04,
}  # fmt: skip
_WEIGHT = {letter: math.log(share / 2.0) for letter, share in _SHARE.items()}
_NEUTRAL = frozenset("«»“”„‘’–—…№°§©®€₽ \xa0іїєґІЇЄҐ")
_CYRILLIC_CANDIDATES = ("cp1251", "koi8-r", "cp866")
# How much rarer than cp1251 the others are today (nats): decides between a few letters only.
_RARITY = {"koi8-r": 2.0, "cp866": 2.0, "cp1252": 0.5}
_SURE_PER_LETTER = 0.1
_SURE_IN_ALL = 3.5
_SAMPLE_BYTES = 64 * 1024
_HIGH_BYTE = re.compile(rb"[\x80-\xff]")
_UTF8_SEQUENCE = re.compile(rb"[\xc2-\xdf][\x80-\xbf]|[\xe0-\xef][\x80-\xbf]{2}|[\xf0-\xf4][\x80-\xbf]{3}")
_UTF8_WORD = re.compile(rb"(?:[\xd0\xd1][\x80-\xbf]){4}")
"""A Cyrillic word in UTF-8; in no single-byte encoding do these bytes make anything that people write."""

BOMS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


@dataclass(frozen=True, slots=True)
class Guess:
    """The best encoding; `margin` is how much better it explains a letter than the next one (nats), `letters` how many.

    `binary`: zero bytes where text has none; no encoding makes a table of it.
    """

    encoding: str
    margin: float = math.inf
    letters: int = 1
    binary: bool = False

    @property
    def sure(self) -> bool:
        """Whether all letters together speak for it clearly enough to read the file without asking."""
        return self.margin >= _SURE_PER_LETTER and self.margin * self.letters >= _SURE_IN_ALL


class EncodingProbe:
    """Watches a file's bytes go by and says in the end what they are. Memory: 64 KB."""

    def __init__(self) -> None:
        self._utf8 = codecs.getincrementaldecoder("utf-8")()
        self._marked: str | None = None
        self._valid_utf8 = True
        self._started = False
        self._has_zeros = False
        self._sample = bytearray()

    def feed(self, chunk: bytes) -> None:
        """Take the next bytes of the file."""
        if not self._started:
            self._started = True
            self._marked = _marked(chunk) or _utf16_without_mark(chunk)
        if self._marked is None and 0 in chunk:
            self._has_zeros = True
        if self._marked is None and len(self._sample) < _SAMPLE_BYTES and not chunk.isascii():
            self._sample += _around_high_bytes(chunk)
        if self._marked is None and self._valid_utf8:
            try:
                self._utf8.decode(chunk)
            except UnicodeDecodeError:
                self._valid_utf8 = False

    def guess(self) -> Guess:
        """The encoding of what was fed."""
        if self._marked is not None:
            return Guess(self._marked)
        if self._has_zeros:
            return Guess("binary", binary=True)
        # UTF-8 with a broken place stays UTF-8: the reader then names the line, instead of reading all of it wrong
        if self._valid_utf8 or _mostly_utf8(bytes(self._sample)):
            return Guess("utf-8")
        return guess_single_byte(bytes(self._sample))


def guess_single_byte(sample: bytes) -> Guess:
    """Which of cp1251, koi8-r, cp866 and cp1252 makes words out of `sample`."""
    letters = max(1, sum(byte > 127 for byte in sample))
    scores = {encoding: _cyrillic_score(sample, encoding) for encoding in _CYRILLIC_CANDIDATES}
    scores["cp1252"] = _western_score(sample)
    for encoding, handicap in _RARITY.items():
        scores[encoding] -= handicap / letters
    best, second = sorted(scores, key=scores.__getitem__, reverse=True)[:2]
    return Guess(best, scores[best] - scores[second], letters)


def _marked(chunk: bytes) -> str | None:
    return next((name for mark, name in BOMS if chunk.startswith(mark)), None)


def _utf16_without_mark(chunk: bytes) -> str | None:
    """UTF-16 without its mark: zero bytes, and read so it is text of letters, digits and line ends."""
    head = chunk[:4096]
    if 0 not in head:
        return None
    return next((name for name in ("utf-16-le", "utf-16-be") if _is_text(head[: len(head) & ~1], name)), None)


def _is_text(head: bytes, encoding: str) -> bool:
    text = head.decode(encoding, errors="replace")
    usual = sum(char in "\t\r\n" or " " <= char < "\u0530" or "\u2010" <= char < "\u2200" for char in text)
    return "\n" in text and usual * 20 >= len(text) * 19


def _around_high_bytes(chunk: bytes) -> bytes:
    """A stretch of `chunk` from its first non-ASCII byte on, words kept whole."""
    found = _HIGH_BYTE.search(chunk)
    first = found.start() if found else 0
    return chunk[max(0, first - 64) : first + 16 * 1024] + b"\n"


def _mostly_utf8(sample: bytes) -> bool:
    if _UTF8_WORD.search(sample):
        return True
    high = sum(byte > 127 for byte in sample)
    valid = sum(len(match[0]) for match in _UTF8_SEQUENCE.finditer(sample))
    return valid * 10 >= high * 8


def _cyrillic_score(sample: bytes, encoding: str) -> float:
    text = sample.decode(encoding, errors="replace")
    total, count = 0.0, 0
    for before, char in zip("\n" + text, text, strict=False):
        if char.isascii():
            if char.isalpha() and "а" <= before.lower() <= "я":
                total -= 3
            continue
        count += 1
        if char in _NEUTRAL:
            continue
        small = char.lower()
        if small not in _WEIGHT:
            total -= 4
            continue
        total += _WEIGHT[small]
        if before.isascii() and before.isalpha():
            total -= 3
        if char != small and before.isalpha() and before == before.lower() and not before.isascii():
            total -= 4
    return total / count if count else 0.0


def _western_score(sample: bytes) -> float:
    """Western accented letters stand alone between ASCII letters; Cyrillic words read so are rows of them."""
    text = sample.decode("cp1252", errors="replace")
    total, count = 0.0, 0
    for index, char in enumerate(text):
        if char.isascii():
            continue
        count += 1
        if char in _NEUTRAL:
            continue
        around = text[max(0, index - 1) : index] + text[index + 1 : index + 2]
        if not char.isalpha():
            total -= 2
        elif any(not near.isascii() for near in around):
            total -= 3
        elif any(near.isalpha() for near in around):
            total += 1
    return total / count if count else 0.0
