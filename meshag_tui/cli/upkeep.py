"""Commands about MeshAG itself: `meshag store … | key rotate | paths`."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from meshag_tui.cli.output import Output
from meshag_tui.figures import moment, number_of, size
from meshag_tui.types import MeshagError

if TYPE_CHECKING:
    from meshag_tui.store.database import Store
    from meshag_tui.store.people import Permission


def status(args: argparse.Namespace, output: Output) -> int:
    """Exit 1 when migrations are pending."""
    store = _open(args, migrate=False)
    try:
        migrations = store.status()
        pending = [each.name for each in migrations if each.state == "pending"]
        from meshag_tui.store import retention
        from meshag_tui.workflows.upkeep import grown, in_words, kept

        sizes = None if pending else store.run(retention.sizes)
        found = None if pending else store.run(kept)
        document = {
            "store": store.url_label,
            "kind": store.kind,
            "migrations": migrations,
            "pending": len(pending),
            "warnings": store.warnings,
            "sizes": sizes,
            "before": None if found is None or found.before is None else found.before._asdict(),
            "backup": None if found is None else found.backup,
            "slowest": [] if found is None else [each._asdict() for each in found.slowest],
        }

        def lines() -> Iterator[str]:
            yield f"store       {store.url_label}"
            yield from (f"warning     {warning}" for warning in store.warnings)
            yield from (f"migration   {each.name}  {each.state}" for each in migrations)
            if sizes is not None:
                yield f"size        {size(sizes.total_bytes)}"
                for level in sizes.levels:
                    name = f"{level.resolution_s} s" if level.resolution_s else "raw"
                    yield f"intervals   {level.intervals} {name}, {moment(level.oldest)} to {moment(level.newest)}"
            if found is not None:
                yield from (f"growth      {words}" for words in (grown(found),) if words)
                yield from (f"slowest     {in_words(each)}" for each in found.slowest)
                if found.backup:
                    yield f"backup      {found.backup['file']}, {moment(found.backup['at'])}"
            if pending:
                yield "pending: meshag store migrate"

        output.answer(document, lines)
        return 1 if pending else 0
    finally:
        store.close()


def migrate(args: argparse.Namespace, output: Output) -> None:
    store = _open(args)
    try:
        done = store.migrated
        output.answer(
            {"store": store.url_label, "applied": done},
            lambda: [f"applied {name}" for name in done] or ["The schema is this version's already"],
        )
    finally:
        store.close()


def schema(args: argparse.Namespace, output: Output) -> int:
    """The tables, or how they differ from what they should be: exit 1 where they do."""
    from meshag_tui.store import browsing

    store = _open(args, migrate=False)
    try:
        if args.diff:
            found = store.run(browsing.differences)
            output.answer({"differences": found}, lambda: found or ["The store is as this version has it"])
            return 1 if found else 0
        tables = store.run(browsing.tables)
    finally:
        store.close()

    def lines() -> Iterator[str]:
        for each in tables:
            yield f"{each.name}  ({number_of(each.rows, 'row')})"
            yield from (f"  {column}" for column in each.columns)
            yield from (f"  index on {index}" for index in each.indexes)

    output.answer(tables, lines)
    return 0


def check(args: argparse.Namespace, output: Output) -> int:
    """Whether the store is whole: its tables, what points where, its log. Exit 1 where it is not."""
    from meshag_tui.store import browsing, chain

    store = _open(args, migrate=False)
    try:
        found = store.run(browsing.differences)
        if not found:
            found = store.run(browsing.orphans)
        log = store.run(chain.verify) if not found else None
    finally:
        store.close()
    if log is not None and not log.whole:
        found = ("the activity log is not as it was written: meshag activity verify says where",)
    output.answer({"whole": not found, "found": found}, lambda: found or ["The store is whole"])
    return 1 if found else 0


def browse(args: argparse.Namespace, output: Output) -> None:
    """Rows of a table, or the names of the tables."""
    from meshag_tui.cli.output import Column, table
    from meshag_tui.store import browsing
    from meshag_tui.text import one_line

    store = _open(args, "admin", migrate=False)
    try:
        if args.table is None:
            known = [{"table": each.name, "rows": each.rows} for each in store.run(browsing.tables)]
            output.answer(known, lambda: [f"{each['table']}  {each['rows']:,}" for each in known])
            return
        found = store.run(browsing.rows, args.table, args.text, args.limit)
    finally:
        store.close()
    if args.full and found:
        lines = [f"{name}: {one_line(value)}" for row in found for name, value in (*row.items(), ("", ""))]
        output.answer(found, lambda: [line if line != ": " else "" for line in lines])
        return

    def cell(name: str) -> Column:
        return Column(name, lambda row: one_line("" if row[name] is None else row[name], 40))

    nothing = [f"No row of {args.table} holds {args.text!r}" if args.text else f"{args.table} has no row"]
    output.answer(found, lambda: table([cell(name) for name in found[0]], found) if found else nothing)


def backup(args: argparse.Namespace, output: Output) -> None:
    from meshag_tui.store import copies

    store = _open(args, "admin", migrate=False)
    try:
        made = copies.backup(store, _path(args.file))
    finally:
        store.close()
    output.answer({"backup": str(made), "bytes": made.stat().st_size}, lambda: [f"Backup: {made}"])


def restore(args: argparse.Namespace, output: Output) -> None:
    from meshag_tui.cli.asking import confirm
    from meshag_tui.store import copies

    label, source = _label(args), _path(args.file)
    if not source.is_file():
        raise MeshagError(f"There is no backup {source}")
    _ask_to_replace(args)
    if not args.yes:
        confirm(f"Replace the store {label} by {source}?", output)
    kept = copies.restore(args.settings.store_url, source, args.settings.home)
    output.answer(
        {"store": label, "restored": str(source), "old": None if kept is None else str(kept)},
        lambda: [f"Restored {source}{_kept(kept)}"],
    )


def seed(args: argparse.Namespace, output: Output) -> None:
    from meshag_tui.store.seed import seed as fill
    from meshag_tui.store.vault import Vault
    from meshag_tui.workflows.rights import account

    vault = Vault.open(args.settings)
    store = _open(args, "admin")
    try:
        made = store.run(fill, vault, account())
        output.answer(made, lambda: ["Made " + ", ".join(f"{rows} {what}" for what, rows in made.items())])
    finally:
        store.close()


def reset(args: argparse.Namespace, output: Output) -> None:
    """Start afresh; the store that was is kept beside it, or as a dump in MESHAG_HOME."""
    from meshag_tui.cli.asking import confirm_name
    from meshag_tui.store import copies

    label = _label(args)
    _ask_to_replace(args)
    if not args.yes:
        name = label.rstrip("/").rpartition("/")[2]
        confirm_name("The store will be emptied; monitored databases are not touched.", name, output)
    kept = copies.reset(args.settings.store_url, args.settings.home)
    output.answer(
        {"store": label, "old": None if kept is None else str(kept)}, lambda: [f"The store is empty{_kept(kept)}"]
    )


def rotate_key(args: argparse.Namespace, output: Output) -> None:
    from meshag_tui.store import vault

    store = _open(args, "admin")
    try:
        done = vault.rotate(vault.Vault.open(args.settings), store)
    finally:
        store.close()
    output.answer(done, lambda: [f"Sealed with the new key {done.key_id}: {number_of(done.secrets, 'secret')}"])
    if done.unreadable:
        output.note(
            f"meshag: left as it was, sealed with a key that is not here: {number_of(done.unreadable, 'secret')}"
        )


def paths(args: argparse.Namespace, output: Output) -> None:
    settings = args.settings
    known: dict[str, Any] = {
        "home": str(settings.home),
        "config": str(settings.home / "config.toml"),
        "store": _label(args),
        "key": str(settings.key_file),
        "log": str(settings.log_file),
    }
    output.answer(known, lambda: [f"{name:<7} {path}" for name, path in known.items()])


def _open(args: argparse.Namespace, permission: Permission = "read", *, migrate: bool = True) -> Store:
    """The store, for whoever may do what is about to be done."""
    from meshag_tui.store.database import Store
    from meshag_tui.workflows import rights

    store = Store.open(args.settings.store_url, migrate=migrate)
    try:
        rights.ask(store, args.settings, permission)
    except BaseException:
        store.close()
        raise
    return store


def _ask_to_replace(args: argparse.Namespace) -> None:
    """Ask whether who acts may put another store in this one's place. A damaged file is its owner's, and not opened."""
    from meshag_tui.store import place

    if place.locate(args.settings.store_url).path is None or args.settings.access_key() is not None:
        _open(args, "admin", migrate=False).close()


def _label(args: argparse.Namespace) -> str:
    from meshag_tui.store import place

    return place.locate(args.settings.store_url).label


def _path(text: str) -> Path:
    return Path(text).expanduser().absolute()


def _kept(old: Path | None) -> str:
    return f"; the old store is kept as {old}" if old else ""
