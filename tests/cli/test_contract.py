"""What scripts rely on: exit codes, one document on stdout, one line on stderr, and nothing heavy for --version."""

from __future__ import annotations

import json
import os
import re
import resource
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from meshag_tui import __version__
from meshag_tui.cli import parser
from meshag_tui.store.history import SORTS
from tests.cli.conftest import Meshag


def test_version_and_help_are_quick_and_load_nothing_heavy(meshag: Meshag) -> None:
    probe = (
        "import sys\nfrom meshag_tui.cli.command import run\ncode = run({arguments!r})\n"
        "heavy = {{'textual', 'peewee', 'psycopg', 'openai', 'rich', 'asyncio', 'logging'}} & set(sys.modules)\n"
        "print(sorted(heavy), file=sys.stderr)\nsys.exit(code)"
    )
    for arguments in (["--version"], ["--help"], ["sync", "--help"], ["connections", "add", "--help"]):
        done = subprocess.run(
            [sys.executable, "-c", probe.format(arguments=arguments)],
            env=meshag.environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert (done.returncode, done.stderr.strip()) == (0, "[]"), arguments
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    answer = meshag.fresh("--version")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert answer.out == f"meshag {__version__}\n"
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 0.2, "100 ms unloaded"


@pytest.mark.parametrize(
    "arguments",
    [
        ["nonsense"],
        ["sync", "--nonsense"],
        ["queries", "shop", "--window", "soon"],
        ["queries", "shop", "--limit", "0"],
        ["suggest", "shop", "--budget", "much"],
        ["suggest", "shop", "--time-limit", "soon"],
        ["why", "7"],
        ["connections"],
        ["connections", "add", "shop", "http://example.org"],
        ["apply", "qry_0000000001"],
        ["undo", "con_1"],
        ["explain", "7"],
        ["connections", "test", "nobody"],
        ["dismiss", "sug_1"],
    ],
    ids=" ".join,
)
def test_wrong_usage_is_2_with_one_reason(meshag: Meshag, arguments: list[str]) -> None:
    answer = meshag(*arguments)
    assert (answer.code, answer.out) == (2, "")
    last = answer.err.strip().splitlines()[-1]
    assert last.startswith("meshag") and len(last) > 20
    as_json = meshag("--json", *arguments)
    assert as_json.code == 2 and as_json.document["error"]["code"] == "usage"
    assert as_json.document["error"]["message"] in as_json.err


def test_the_wrong_kind_of_id_is_named(meshag: Meshag) -> None:
    assert "qry_0000000001 is a query" in meshag("apply", "qry_0000000001").err


def test_a_failure_is_1_with_one_line_and_a_document(meshag: Meshag) -> None:
    answer = meshag("connections", "add", "shop", "postgresql://nobody@127.0.0.1:1/shop", "--json")
    assert answer.code == 1
    assert answer.document["error"]["code"] == "cannot-connect"
    assert len(answer.err.strip().splitlines()) == 1 and answer.err.startswith("meshag: ")
    assert meshag("connections", "list", "--json").document == [], "what cannot be reached is not saved"


def test_everything_takes_json_before_and_after_the_command(meshag: Meshag) -> None:
    assert meshag("--json", "connections", "list").document == []
    assert meshag("connections", "list", "--json").document == []
    assert meshag("suggestions", "--json").document == []
    assert meshag("runs", "--json").document == []
    assert set(meshag("paths", "--json").document) == {"home", "config", "store", "key", "log"}
    assert meshag("store", "status", "--json").document["pending"] == 0
    assert meshag("store", "schema", "--diff", "--json").document == {"differences": []}
    assert {row["table"] for row in meshag("store", "browse", "--json").document} >= {"connection", "users"}
    assert meshag("store", "browse", "users").code == 0
    assert meshag("store", "check", "--json").document == {"whole": True, "found": []}
    assert "here" in meshag("doctor", "--json").document


def test_the_store_of_the_flag_beats_the_environment(meshag: Meshag, tmp_path: Path) -> None:
    environment = {"MESHAG_STORE": str(tmp_path / "environment.db")}
    paths = meshag("paths", "--json", environment=environment).document
    assert paths["store"].endswith("/environment.db")
    paths = meshag("paths", "--store", str(tmp_path / "flag.db"), "--json", environment=environment).document
    assert paths["store"].endswith("/flag.db")


def test_without_a_terminal_the_screens_are_refused(meshag: Meshag) -> None:
    answer = meshag()
    assert (answer.code, answer.out) == (2, "")
    assert "terminal" in answer.err and "\x1b" not in answer.err


def test_a_question_nobody_can_answer_is_wrong_usage(meshag: Meshag) -> None:
    answer = meshag("store", "reset", stdin="y\n")
    assert answer.code == 2 and "--yes" in answer.err


def test_a_reader_that_leaves_early_is_no_crash(meshag: Meshag) -> None:
    process = subprocess.Popen(
        meshag.command("--help"), env=meshag.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None and process.stderr is not None
    process.stdout.close()
    assert process.wait(20) in (0, 1) and process.stderr.read() == ""
    process.stderr.close()


def test_a_full_disk_under_stdout_is_one_line(meshag: Meshag) -> None:
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            meshag.command("paths"), env=meshag.environment, stdout=full, stderr=subprocess.PIPE, text=True, check=False
        )
    assert done.returncode == 1
    assert done.stderr.strip().splitlines() == ["meshag: The output cannot be written: No space left on device"]


def test_a_closed_stdout_is_refused(meshag: Meshag) -> None:
    done = subprocess.run(
        ["sh", "-c", 'exec "$@" >&-', "sh", *meshag.command("paths")],
        env=meshag.environment,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    assert done.returncode == 2 and "closed" in done.stderr


@pytest.mark.parametrize(
    "environment", [{"LANG": "C", "LC_ALL": "POSIX"}, {"PYTHONIOENCODING": "ascii"}, {"PYTHONUTF8": "0", "LC_ALL": "C"}]
)
def test_a_terminal_without_unicode_is_survived(meshag: Meshag, environment: dict[str, str]) -> None:
    answer = meshag.fresh("doctor", environment=environment)
    assert answer.code == 0 and "Traceback" not in answer.err


def test_an_unexpected_error_is_one_line_and_its_traceback_is_in_the_log(meshag: Meshag) -> None:
    """The fault: the store module raises what nobody expects, with a password in reach."""
    script = (
        "import sys\n"
        "import meshag_tui.store.database as database\n"
        "class Broken:\n"
        "    @classmethod\n"
        "    def open(cls, url, **_):\n"
        "        secret_local = '-'.join(('canary', 'in', 'a', 'local'))\n"
        "        raise ZeroDivisionError('while reading postgresql://u:canary-in-a-url@h/db')\n"
        "database.Store = Broken\n"
        "from meshag_tui.cli.command import run\n"
        "sys.exit(run(['store', 'status']))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], env=meshag.environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1 and done.stdout == ""
    assert len(done.stderr.strip().splitlines()) == 1
    assert "ZeroDivisionError" in done.stderr and str(meshag.home / "meshag.log") in done.stderr
    assert "Traceback" in meshag.log and "ZeroDivisionError" in meshag.log
    assert "canary-" not in meshag.log + done.stderr


def test_what_it_writes_is_for_its_owner_alone(meshag: Meshag) -> None:
    meshag("connections", "add", "shop", "postgresql://u:p@127.0.0.1:1/d", "--no-test")
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in [meshag.home, *meshag.home.iterdir()]}
    assert modes.pop("meshag") == 0o700
    assert {"meshag.log", "key", "meshag.db"} <= modes.keys() and set(modes.values()) == {0o600}


def test_a_log_level_that_does_not_exist_is_wrong_usage(meshag: Meshag) -> None:
    assert meshag("paths", environment={"MESHAG_LOG": "loud"}).code == 2


def test_the_log_is_rotated_and_survives_two_processes(tmp_path: Path) -> None:
    import logging

    from meshag_tui import logs
    from meshag_tui.settings import Settings

    logs.set_up(Settings(home=tmp_path, store_url=""))
    handler = next(one for one in logging.getLogger().handlers if type(one).__name__ == "_PrivateFile")
    try:
        logging.getLogger("meshag").error("before password=canary after")
        os.rename(tmp_path / "meshag.log", tmp_path / "meshag.log.1")  # another process rotates it
        logging.getLogger("meshag").error("second")
        text = (tmp_path / "meshag.log").read_text()
        assert "second" in text and "canary" not in (tmp_path / "meshag.log.1").read_text()
        for _ in range(60):
            logging.getLogger("meshag").error("x" * 100_000)
        assert (tmp_path / "meshag.log").stat().st_size <= logs.MAX_BYTES
        assert len(list(tmp_path.glob("meshag.log*"))) <= logs.KEPT_FILES + 1
    finally:
        logging.getLogger().removeHandler(handler)
        handler.close()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_a_signal_ends_a_command_at_once(meshag: Meshag, number: signal.Signals) -> None:
    process = meshag.start("collect", "--json")
    try:
        while not (_catches(process.pid, signal.SIGTERM) and _catches(process.pid, number)):
            assert process.poll() is None, process.communicate()
            time.sleep(0.02)
        process.send_signal(number)
        out, err = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 128 + number, err
    assert "Traceback" not in err and out == ""


def _catches(pid: int, number: signal.Signals) -> bool:
    """Whether a process has a handler of its own for a signal: it is at work."""
    (caught,) = re.findall(r"^SigCgt:\s*(\w+)$", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
    return bool(int(caught, 16) >> (number - 1) & 1)


def test_sorts_are_those_of_the_history() -> None:
    assert set(parser.SORTS) == set(SORTS)


def test_json_survives_hostile_text(capsys: pytest.CaptureFixture[str]) -> None:
    from meshag_tui.cli.output import Output, plain

    value = {"text": "\x1b]52;c;eA==\x07 \u202e \ud800 [/b]", "nan": float("nan"), "path": Path("/x")}
    Output(True).document(value)
    out = capsys.readouterr().out
    assert out.isascii() and "\x1b" not in out and "\x07" not in out
    assert json.loads(out)["nan"] is None
    assert plain({1: (2, {3})}) == {"1": [2, [3]]}
    Output(False).line("\x1b[2J \x9b1m \u202e")
    assert not set("\x1b\x9b\u202e") & set(capsys.readouterr().out)
