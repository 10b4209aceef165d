"""The statements that read servers, a file each, named for what they read; `{name}` stands for a composed part."""

from __future__ import annotations

import re
from functools import cache
from importlib.resources import files


@cache
def load(name: str) -> str:
    """The text of `<name>.sql` without its `--` comments."""
    text = (files(__name__) / f"{name}.sql").read_text(encoding="utf-8")
    return re.sub(r"^\s*--.*\n", "", text, flags=re.MULTILINE).strip().rstrip(";")
