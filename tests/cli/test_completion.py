"""Completion: a real bash offers what the parser knows, and the names of connections."""

from __future__ import annotations

import shutil
import subprocess
import sys

import pytest

from tests.cli.conftest import Meshag

BASH = shutil.which("bash")


@pytest.mark.skipif(BASH is None, reason="there is no bash")
def test_a_shell_completes_commands_options_and_names(meshag: Meshag) -> None:
    assert meshag("completion", "--names").out == "", "no store is made for it"
    assert not (meshag.home / "meshag.db").exists()
    for name in ("shop", "my shop"):
        meshag("connections", "add", name, f"postgresql://u@127.0.0.1:1/{name[:2]}x", "--no-test")
    script = meshag("completion", "bash").out
    assert meshag("completion", "--names").out.splitlines() == ["my shop", "shop"]
    probe = """
        python=$1; eval "$2"
        meshag() { "$python" -m meshag_tui "$@"; }
        offer() { COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _meshag; printf '%s\\n' "${COMPREPLY[@]}" --; }
        offer meshag co; offer meshag connections ""; offer meshag connections edit --s
        offer meshag --json queries s; offer meshag health my; offer meshag webhooks add s
    """
    shell = [str(BASH), "-c", probe, "x", sys.executable, script]
    done = subprocess.run(shell, env=meshag.environment, capture_output=True, text=True, check=True)
    assert done.stderr == ""
    said = [part.split("\n") for part in done.stdout.removesuffix("--\n").split("--\n")]
    offered = [{line for line in lines if line} for lines in said]
    assert {"connections", "collect", "compare", "completion"} <= offered[0]
    assert {"add", "list", "edit", "remove", "test"} <= offered[1]
    assert {"--slow", "--stage", "--store"} <= offered[2]
    assert offered[3] == {"shop"}
    assert offered[4] == {"my\\ shop"}
    assert offered[5] == set()
    for other in ("zsh", "fish"):
        assert "meshag" in meshag("completion", other).out
    assert meshag("completion").code == 2
