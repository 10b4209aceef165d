"""Before a text leaves the machine: what exactly would be sent, and whether the user agreed to it."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from meshag_tui.cli.output import Output
from meshag_tui.types import MeshagError, UsageError

if TYPE_CHECKING:
    from meshag_tui.workflows.workbench import Workbench


async def preview(bench: Workbench, connection_id: str, args: argparse.Namespace, output: Output) -> None:
    """Print the exact text a model would be sent; nothing is sent."""
    shown = await bench.advice.model_preview(connection_id, args.window, args.model)
    output.answer(shown, lambda: [shown.text])
    where = f"{shown.model} at {shown.base_url}"
    if shown.refused:
        output.note(f"meshag: nothing of this may go to {where}: {shown.refused}")
    else:
        then = f", or if that is down to {', then '.join(shown.then)}" if shown.then else ""
        output.note(f"meshag: {shown.bytes} bytes would go to {where}{then}")


async def agreed(bench: Workbench, connection_id: str, args: argparse.Namespace, output: Output) -> bool:
    """Whether the model may be asked now; if not, one line on stderr says why and what to do."""
    if refused := await bench.advice.model_refusal(connection_id):
        output.note(f"meshag: no model was asked: {refused} (meshag connections edit NAME --cloud)")
        return False
    endpoints = await bench.advice.model_endpoints(connection_id, args.model)
    unset = endpoints and endpoints[0].provider_id is None and bench.settings.llm_key() is None
    if not endpoints or (
        unset and not args.consent and not await bench.advice.model_consent(connection_id, args.model)
    ):
        variable = bench.settings.llm.api_key_env
        output.note(f"meshag: no model was asked: set {variable}, add one by meshag providers add, or pass --no-llm")
        return False
    if await bench.advice.model_consent(connection_id, args.model):
        return True
    if args.consent:
        await bench.advice.give_model_consent(connection_id, args.model)
        return True
    if output.as_json or not sys.stdin or not sys.stdin.isatty():
        names = ", ".join(one.model for one in endpoints)
        output.note(f"meshag: no model was asked: see --preview, then agree with --consent ({names})")
        return False
    return await _asked(bench, connection_id, args, output)


async def _asked(bench: Workbench, connection_id: str, args: argparse.Namespace, output: Output) -> bool:
    from meshag_tui.cli.asking import confirm

    shown = await bench.advice.model_preview(connection_id, args.window, args.model)
    output.line(shown.text)
    places = ", or ".join((f"{shown.model} at {shown.base_url}", *shown.then))
    try:
        confirm(f"Send such texts ({shown.bytes} bytes) to {places}?", output, "--no-llm")
    except UsageError:
        raise
    except MeshagError:
        return False
    await bench.advice.give_model_consent(connection_id, args.model)
    return True
