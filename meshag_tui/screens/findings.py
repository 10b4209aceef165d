"""Findings and tests of connections in words: symbol, severity, what it is, what mends it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from meshag_tui.figures import duration
from meshag_tui.glyphs import glyphs
from meshag_tui.types import Finding
from meshag_tui.widgets.columns import Tone
from meshag_tui.widgets.page import Piece

if TYPE_CHECKING:
    from meshag_tui.workflows.connecting import Tested

WORST_FIRST = ("missing", "degraded", "info", "ok")
_TONES: dict[str, Tone] = {"missing": "critical", "degraded": "warning", "info": "", "ok": "good"}


def severity_word(severity: str) -> str:
    """ "✗ missing", "▲ degraded": a symbol and a word."""
    drawn = glyphs()
    symbol = {"missing": drawn.bad, "degraded": drawn.warning, "ok": drawn.ok}.get(severity, drawn.gap)
    return f"{symbol} {severity}"


def severity_tone(severity: str) -> Tone:
    return _TONES.get(severity, "")


def finding_pieces(finding: Finding) -> list[Piece]:
    """One finding in full."""
    said: list[Piece] = [
        (severity_tone(finding.severity), f"{severity_word(finding.severity)}  "),
        ("bold", f"{finding.title}\n"),
    ]
    if finding.detail:
        said.append(("", f"{finding.detail}\n"))
    if finding.fix:
        said += [("dim", "\nWhat mends it (y copies):\n"), ("accent", f"{finding.fix}\n")]
    return said


def findings_pieces(findings: Iterable[Finding], *, with_ok: bool = False) -> list[Piece]:
    """Several findings, the worst first, each with its fix; those that are ok only by their titles, or not at all."""
    said: list[Piece] = []
    for finding in sorted(findings, key=lambda each: WORST_FIRST.index(each.severity)):
        if finding.severity == "ok" and not with_ok:
            continue
        said += [(severity_tone(finding.severity), severity_word(finding.severity)), ("", f"  {finding.title}\n")]
        if finding.severity != "ok" and finding.detail:
            said.append(("dim", f"  {finding.detail}\n"))
        if finding.severity in ("missing", "degraded") and finding.fix:
            said.append(("accent", "".join(f"  {line}\n" for line in finding.fix.splitlines())))
    return said


def report_pieces(report: Tested) -> list[Piece]:
    """What a test of a connection found: the server in a line, then what is missing, then what is in order."""
    facts = report.facts
    line = f"{glyphs().ok} {facts.engine} {facts.version}"
    role = f"role {facts.user}" + (", a superuser" if facts.superuser else "")
    where = "a standby" if facts.in_recovery else "primary"
    parts = [line, f"answers in {duration(facts.latency_ms)}", facts.tls or "no TLS", role, where]
    said: list[Piece] = [("good", glyphs().separator.join(parts) + "\n")]
    missing: Sequence[Finding] = report.missing
    if missing:
        said += findings_pieces(missing)
    else:
        said.append(("good", f"{glyphs().ok} Nothing is missing\n"))
    others = [finding for finding in report.findings if finding not in missing]
    return said + findings_pieces(others, with_ok=True)
