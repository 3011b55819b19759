"""Keys of a file met so far: the second row with the same key is refused, whatever it says."""

from __future__ import annotations

from array import array

from b24sync.importing.draft import RowError

_FIRST_SLOTS = 1 << 12
_MASK_64 = (1 << 64) - 1


class SeenKeys:
    """Remembers each key's first line. Memory: about 24 to 48 bytes per key, no key text is kept.

    Keys are told apart by 64 bits of hash: among a million keys a false "seen before" has a chance of 1 in 37 million,
    and would refuse a row with its reason, never let a duplicate through.
    """

    def __init__(self) -> None:
        self._count = 0
        self._resize(_FIRST_SLOTS)

    def __len__(self) -> int:
        return self._count

    def first_line(self, key: str, line: int) -> int | None:
        """The line where `key` was met first; None where this is the first, which is then remembered as `line`."""
        if self._count * 2 >= len(self._lines):
            self._grow()
        code = hash(key) & _MASK_64
        slot = self._slot(code)
        found = self._lines[slot]
        if found:
            return found
        self._codes[slot], self._lines[slot] = code, line
        self._count += 1
        return None

    def check(self, line: int, key: str) -> RowError | None:
        """A RowError DUPLICATE_KEY where `key` was met before; else None, and the key is remembered."""
        first = self.first_line(key, line)
        if first is None:
            return None
        lost = "; a workbook keeps 15 digits of a number: write ids as text" if len(key) > 15 and key.isdigit() else ""
        return RowError(line, key, None, key, "DUPLICATE_KEY", f'key "{key}" stands in line {first} already{lost}')

    def _resize(self, slots: int) -> None:
        self._codes = array("Q", bytes(8 * slots))
        self._lines = array("Q", bytes(8 * slots))

    def _slot(self, code: int) -> int:
        """The slot that holds `code`, else the free one where it belongs (open addressing; a line is never 0)."""
        codes, lines = self._codes, self._lines
        mask = len(lines) - 1
        slot = code & mask
        while lines[slot] and codes[slot] != code:
            slot = (slot + 1) & mask
        return slot

    def _grow(self) -> None:
        old_codes, old_lines = self._codes, self._lines
        self._resize(len(old_lines) * 2)
        for code, line in zip(old_codes, old_lines, strict=True):
            if line:
                slot = self._slot(code)
                self._codes[slot], self._lines[slot] = code, line
