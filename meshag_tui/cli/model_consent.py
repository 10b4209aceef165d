"""Before a text leaves the machine: what exactly would be sent, and whether the user agreed to it."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from meshag_tui.cli.output import Output
from meshag_tui.types import MeshagError, UsageError

if TYPE_CHECKING:
    from meshag_tui.workflows.workbench import Workbench


async def preview(bench: Workbench, connection_id: str, window_ms: int | None, output: Output) -> None:
    """Print the exact text a model would be sent; nothing is sent."""
    shown = await bench.model_preview(connection_id, window_ms)
    output.answer(shown, lambda: [shown.text])
    where = f"{shown.model} at {shown.base_url}"
    if shown.refused:
        output.note(f"meshag: nothing of this may go to {where}: {shown.refused}")
    else:
        output.note(f"meshag: {shown.bytes} bytes would go to {where}")


async def agreed(bench: Workbench, connection_id: str, args: argparse.Namespace, output: Output) -> bool:
    """Whether the model may be asked now; if not, one line on stderr says why and what to do."""
    llm = bench.settings.llm
    if refused := await bench.model_refusal(connection_id):
        output.note(f"meshag: no model was asked: {refused} (meshag connections edit NAME --cloud)")
        return False
    if bench.settings.llm_key() is None and not args.consent:
        output.note(f"meshag: no model was asked: set {llm.api_key_env}, or pass --no-llm")
        return False
    if await bench.model_consent(connection_id):
        return True
    if args.consent:
        await bench.give_model_consent(connection_id)
        return True
    if output.as_json or not sys.stdin or not sys.stdin.isatty():
        output.note(f"meshag: no model was asked: see --preview, then agree with --consent ({llm.model})")
        return False
    return await _asked(bench, connection_id, args.window, output)


async def _asked(bench: Workbench, connection_id: str, window_ms: int | None, output: Output) -> bool:
    from meshag_tui.cli.asking import confirm

    shown = await bench.model_preview(connection_id, window_ms)
    output.line(shown.text)
    try:
        confirm(f"Send such texts ({shown.bytes} bytes) to {shown.model} at {shown.base_url}?", output, "--no-llm")
    except UsageError:
        raise
    except MeshagError:
        return False
    await bench.give_model_consent(connection_id)
    return True
