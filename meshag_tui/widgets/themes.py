"""The looks: dark, light, high-contrast, and the user's own sixteen colours for slow lines.

Colours say nothing alone: a symbol or a word stands beside each. Blue and orange carry meaning rather than green and
red, which some people cannot tell apart.
"""

from __future__ import annotations

from collections.abc import Mapping

from textual.theme import Theme

_PLAIN_CURSORS = {
    "input-cursor-text-style": "reverse",
    "footer-key-foreground": "$accent",
    "block-cursor-text-style": "none",
}

THEMES: tuple[Theme, ...] = (
    Theme(
        name="dark",
        primary="#5fafff",
        secondary="#87afd7",
        accent="#5fafff",
        warning="#ffaf5f",
        error="#ff8787",
        success="#87d7af",
        foreground="#d8d8d8",
        background="#121417",
        surface="#121417",
        panel="#23272e",
        variables=_PLAIN_CURSORS,
    ),
    Theme(
        name="light",
        primary="#005f9e",
        secondary="#3a6186",
        accent="#005f9e",
        warning="#9a4f00",
        error="#a8002a",
        success="#00664b",
        foreground="#1c1c1c",
        background="#fafafa",
        surface="#fafafa",
        panel="#e4e7eb",
        dark=False,
        variables=_PLAIN_CURSORS,
    ),
    Theme(
        name="high-contrast",
        primary="#00d7ff",
        secondary="#ffffff",
        accent="#ffff00",
        warning="#ffd700",
        error="#ff8700",
        success="#00ff87",
        foreground="#ffffff",
        background="#000000",
        surface="#000000",
        panel="#000000",
        text_alpha=1.0,
        variables=_PLAIN_CURSORS,
    ),
)
NAMES = (*(theme.name for theme in THEMES), "ansi-dark", "ansi-light")
"""What `t` goes through and config.toml may say; the last two are Textual's own."""


def choose_theme(wanted: str, environment: Mapping[str, str]) -> str:
    """The theme to start with: `wanted` if it is one of NAMES, else what suits the terminal ("auto").

    Over SSH and on terminals of few colours the sixteen of the user's palette are taken: they need half the bytes.
    Without colours (NO_COLOR) the look is carried by bold, underline and reverse.
    """
    if wanted in NAMES:
        return wanted
    light = _light_background(environment)
    if "NO_COLOR" in environment:
        return "light" if light else "dark"
    remote = any(name in environment for name in ("SSH_CONNECTION", "SSH_TTY", "SSH_CLIENT", "MOSH_CONNECTION"))
    few = "color" not in environment.get("TERM", "") and not environment.get("COLORTERM")
    if remote or few:
        return "ansi-light" if light else "ansi-dark"
    return "light" if light else "dark"


def _light_background(environment: Mapping[str, str]) -> bool:
    """COLORFGBG ("15;0", set by rxvt, Konsole and others) names the palette entry of the background last."""
    background = environment.get("COLORFGBG", "").rsplit(";", 1)[-1]
    return background in ("7", "15")
