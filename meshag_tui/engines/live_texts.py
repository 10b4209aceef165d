"""Texts of running statements as they may be shown and kept: normalised, and examined once each."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Iterable

Said = tuple[str | None, str | None]
"""A text without a literal in it, and its fingerprint."""
_REMEMBERED = 2_000


class LiveTexts:
    """Remembers what was made of the texts of one session's server."""

    def __init__(self, normalise: Callable[[str], str], fingerprint: Callable[[str], str | None]) -> None:
        self._normalise, self._fingerprint = normalise, fingerprint
        self._known: OrderedDict[str, Said] = OrderedDict()

    async def of(self, texts: Iterable[str | None]) -> dict[str, Said]:
        """What may be shown of each text. Those that are new are examined in a thread, a third of a ms each."""
        wanted = {text for text in texts if text}
        new = [text for text in wanted if text not in self._known]
        if new:
            self._known |= await asyncio.to_thread(self._examined, new)
        found = {}
        for text in wanted:
            self._known.move_to_end(text)
            found[text] = self._known[text]
        while len(self._known) > max(_REMEMBERED, len(wanted)):
            self._known.popitem(last=False)
        return found

    def _examined(self, texts: list[str]) -> dict[str, Said]:
        return {text: (self._normalise(text), self._fingerprint(text)) for text in texts}
