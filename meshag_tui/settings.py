"""Where things are and how the user wants them: flags > environment > config.toml > defaults.

Reads files and the environment, knows nothing else. `config.toml` lives in MESHAG_HOME; unknown keys are refused with
their name, so that a typing mistake is never silently a default. Settings are named tuples, whose classes are made in a
sixth of the time that frozen dataclasses take: each start makes all of them.
"""

import os
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, get_args

from meshag_tui.types import Secret, UsageError, WhatIfChoice

if TYPE_CHECKING:
    from meshag_tui.maintenance import MaintenanceWindow

_NONE: Mapping[str, str] = {}


class CollectSettings(NamedTuple):
    """How MeshAG reads servers."""

    interval_s: int = 60  # a connection's own interval overrides it
    connect_timeout_s: float = 5.0
    statement_timeout_s: float = 15.0
    lock_timeout_ms: int = 500
    keep_session_s: int = 120  # syncs at most this far apart keep their session for the next one; 0: none does
    objects_every_s: int = 300  # tables, indexes and schema at most this often, but for a sync asked for by hand
    texts_every_s: int = 600  # texts of unseen statements at most this often, but for a sync asked for by hand
    texts_per_sync: int = 5_000  # unseen texts read by one sync, the costliest statements first; the rest by the next
    text_limit_bytes: int = 65_536
    statements_most: int = 50_000  # of more, those that took the least time are not read; 0: all are
    collectors: int = 8  # connections synced at the same time
    sessions: int = 2  # on one server at most for what runs by itself, the one that samples among them
    statements_from: str = ""  # schema.name of a function or view in place of pg_stat_statements, where there is one
    sample_s: float = 5.0  # how often is looked at what sessions do, more often while somebody looks; 0: never


class RetentionSettings(NamedTuple):
    """How long history is kept, in days; each level is rolled up into the next."""

    raw_days: float = 2
    ten_minute_days: float = 14
    hour_days: float = 90
    day_days: float = 400
    sampled_days: float = 14  # what sessions did, by the minute
    ledger_days: float = 800  # single calls of models, a year at least: budgets of a year count them


class BackupSettings(NamedTuple):
    """Copies of an SQLite store, made by `meshag collect` or the screens. PostgreSQL has tools of its own."""

    every_h: float = 0.0  # hours between two; 0: none are made by themselves
    keep: int = 7  # the newest stay
    folder: str = ""  # where they are put; empty: `backups` beside the store


class AdviceSettings(NamedTuple):
    """When something is worth a suggestion."""

    unused_index_days: float = 30  # continuous observed history without a scan
    hidden_index_days: float = 7  # an index that was hidden (MySQL, MariaDB) is proposed for dropping after this time
    minimum_gain: float = 0.20  # a smaller share saved is not a suggestion
    slow_ms: float = 100.0  # mean time from which a query is shown as slow
    storage_budget_bytes: int | None = None  # disk that all new indexes may take; unset: few and plain ones only
    time_limit_s: float = 15.0  # after this the best indexes found so far are proposed
    planner_calls: int = 1_000  # and after the planner was asked this often
    what_if: WhatIfChoice = "auto"  # what prices an index that does not exist: auto, hypopg, sandbox, off
    every_s: int = 3_600  # how often rules look for improvements by themselves, no model asked; 0: only when asked to


class AlertSettings(NamedTuple):
    """What is alerted of beside measures of health past their limits, and how this terminal tells it."""

    blocked_s: float = 30.0  # a session that waits for another for so long
    regression: float = 2.0  # a statement whose mean is so many times that of the day before, and adds to the load
    drop: int = 20  # points that the score lies below its mean of the last day
    quiet: str = ""  # as "22:00-07:00": no bell and no message here; webhooks have hours of their own
    bell: bool = True  # the terminal's
    osc9: bool = False  # a message of the desktop, by terminals that show them


class VerifySettings(NamedTuple):
    """How an applied change is compared with the time before it."""

    window_h: float = 24.0  # this long after the change, beside as long before it
    least_calls: int = 30  # on each side, of the statements it is about; with fewer nothing is concluded
    patience_windows: int = 7  # so many windows are waited for calls and a comparable load, then it is given up
    unused_index_days: float = 14  # a made index that nothing used for so long is proposed for taking back


class MoneySettings(NamedTuple):
    """What the server's time, disk and reads cost. Without a rate, figures are of time only."""

    cpu_hour: float = 0.0  # price of one CPU for an hour
    gb_month: float = 0.0  # price of a gigabyte of disk for a month
    io_million: float = 0.0  # price of a million blocks read, where reads are paid for
    currency: str = ""  # written behind the figures

    @property
    def any(self) -> bool:
        """Whether there is a rate at all."""
        return max(self.cpu_hour, self.gb_month, self.io_million) > 0


class RehearsalSettings(NamedTuple):
    """What a rehearsal may take: of the watched server, of this machine, of time."""

    rows: int = 1_000_000  # copied at most, of all tables together
    megabytes: int = 256  # copied at most; the sandbox takes up to three times as much on disk while it is there
    copy_s: float = 60.0  # reading the watched server ends after this
    measure_s: float = 60.0  # running statements ends after this
    server: str = ""  # name of a connection on whose server the sandbox is to be; empty: a private one on this machine
    template: bool = False  # the database of that connection is a copy of the watched one: the sandbox is one of it
    others: int = 10  # statements on the same table that are run beside those the advice is for, the dearest first


class ChangeSettings(NamedTuple):
    """When a change may begin, and who must have agreed to it. What undoes one is not held up by either."""

    window: str = ""  # as "Sat,Sun 22:00-04:00; Wed 12:30-13:00", in this machine's time; empty: at any time
    windows: Mapping[str, str] = _NONE  # the same by name of connection
    approvers: str = ""  # users with commas between; one of them applies it, or marked it as reviewed; empty: anybody

    @property
    def approver_names(self) -> tuple[str, ...]:
        return tuple(name.strip() for name in self.approvers.split(",") if name.strip())

    def window_of(self, connection: str) -> "MaintenanceWindow | None":
        """The window of a connection by its name, None: at any time. UsageError: it cannot be read."""
        text = self.windows.get(connection, self.window)
        if not text:
            return None
        from meshag_tui.maintenance import maintenance_window

        return maintenance_window(text)


class LlmSettings(NamedTuple):
    """An OpenAI-compatible endpoint, the first that is asked; the key comes from the environment variable named by
    `api_key_env`. Others are kept in the store. What is below `api_key_env` is of all of them."""

    base_url: str = "https://api.openai.com/v1"
    model: str = "gpt-4.1-mini"
    api_key_env: str = "OPENAI_API_KEY"
    timeout_s: float = 30.0
    max_tokens: int = 2_000
    temperature: float = 0.1
    prompt_limit_bytes: int = 60_000
    cache_days: float = 7.0  # how long an answer is used again while nothing it rests on changed; 0: never
    cache_mb: int = 20  # of all kept answers together


class UiSettings(NamedTuple):
    """How the TUI looks and answers."""

    theme: str = "auto"  # auto, dark, light, high-contrast, ansi-dark, ansi-light
    refresh_s: float = 2.0
    mouse: bool = False
    ascii: bool = False
    plain: bool = False  # lines of words for a screen reader, written one below the other, instead of drawn screens
    keys: Mapping[str, str] = _NONE  # action id -> key


class Settings(NamedTuple):
    home: Path
    store_url: str
    read_only: bool = False
    log_level: str = "INFO"
    collect: CollectSettings = CollectSettings()
    retention: RetentionSettings = RetentionSettings()
    backup: BackupSettings = BackupSettings()
    advice: AdviceSettings = AdviceSettings()
    alerts: AlertSettings = AlertSettings()
    verify: VerifySettings = VerifySettings()
    money: MoneySettings = MoneySettings()
    rehearsal: RehearsalSettings = RehearsalSettings()
    changes: ChangeSettings = ChangeSettings()
    llm: LlmSettings = LlmSettings()
    ui: UiSettings = UiSettings()

    @property
    def log_file(self) -> Path:
        return self.home / "meshag.log"

    @property
    def key_file(self) -> Path:
        return self.home / "key"

    def access_key(self, environment: Mapping[str, str] | None = None) -> Secret | None:
        """The access key that a command without a person acts by (MESHAG_ACCESS_KEY)."""
        text = (os.environ if environment is None else environment).get("MESHAG_ACCESS_KEY")
        return Secret(text) if text else None

    def llm_key(self, environment: Mapping[str, str] | None = None) -> Secret | None:
        text = (os.environ if environment is None else environment).get(self.llm.api_key_env)
        return Secret(text) if text else None


_SECTIONS: Mapping[str, Any] = {
    "collect": CollectSettings,
    "retention": RetentionSettings,
    "backup": BackupSettings,
    "advice": AdviceSettings,
    "alerts": AlertSettings,
    "verify": VerifySettings,
    "money": MoneySettings,
    "changes": ChangeSettings,
    "rehearsal": RehearsalSettings,
    "llm": LlmSettings,
    "ui": UiSettings,
}
_CHOICES: Mapping[tuple[str, str], tuple[str, ...]] = {("advice", "what_if"): get_args(WhatIfChoice)}


def load(
    store: str | None = None,
    read_only: bool = False,
    environment: Mapping[str, str] | None = None,
    plain: bool = False,
) -> Settings:
    """Settings from flags (`store`, `read_only`, `plain`), the environment (MESHAG_STORE, MESHAG_HOME, MESHAG_PLAIN)
    and config.toml, in that order.

    The home folder is made with mode 0700 when it is missing.

    Raises:
        UsageError: a config.toml that cannot be read, an unknown key, a value of the wrong type, or a secret in it that
            others may read.
    """
    environment = os.environ if environment is None else environment
    home = _home(environment)
    config = home / "config.toml"
    document = _read(config) if config.exists() else {}
    sections: dict[str, Any] = {}
    for name, kind in _SECTIONS.items():
        sections[name] = _section(config, name, kind, document.pop(name, {}))
    for name in ("", *sections["changes"].windows):
        sections["changes"].window_of(name)  # a window that cannot be read is said now, not when a change waits
    if sections["alerts"].quiet:
        from meshag_tui.maintenance import quiet_hours

        quiet_hours(sections["alerts"].quiet)
    if sections["backup"].every_h < 0 or sections["backup"].keep < 1:
        raise UsageError(f"{config}: in [backup] every_h is 0 or more, and keep 1 or more")
    if sections["collect"].sessions < (least := 2 if sections["collect"].sample_s > 0 else 1):
        why = ", as one only samples" if least > 1 else ""
        raise UsageError(f"{config}: sessions in [collect] must be {least} or more{why}")
    if (named := sections["collect"].statements_from) and named.count(".") != 1:
        raise UsageError(
            f"{config}: statements_from in [collect] must be a schema and a name, as in monitoring.statements"
        )
    store_url = store or environment.get("MESHAG_STORE") or document.pop("store", None)
    document.pop("store", None)
    level = str(environment.get("MESHAG_LOG") or document.get("log_level", "INFO")).upper()
    document.pop("log_level", None)
    read_only = read_only or bool(document.pop("read_only", False))
    if document:
        raise UsageError(f"{config}: unknown key {sorted(document)[0]!r}")
    if plain or environment.get("MESHAG_PLAIN", "") not in ("", "0"):
        sections["ui"] = sections["ui"]._replace(plain=True)
    return Settings(
        home=home,
        store_url=_store_url(store_url or str(home / "meshag.db")),
        read_only=read_only,
        log_level=level,
        **sections,
    )


def _home(environment: Mapping[str, str]) -> Path:
    if given := environment.get("MESHAG_HOME"):
        home = Path(given).expanduser().absolute()
    else:
        data = environment.get("XDG_DATA_HOME") or str(Path.home() / ".local" / "share")
        home = Path(data) / "meshag"
    try:
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"MESHAG_HOME {home} cannot be used: {error.strerror}") from None
    if not os.access(home, os.W_OK | os.X_OK):
        raise UsageError(f"MESHAG_HOME {home} cannot be written: choose another folder or mend its permissions")
    return home


def _store_url(given: str) -> str:
    """A URL with a scheme: a bare path means SQLite."""
    if "://" in given:
        scheme = given.split("://", 1)[0]
        if scheme not in ("sqlite", "postgresql", "postgres"):
            raise UsageError("The store must be a file path, sqlite:///path or postgresql://…")
        return given
    return f"sqlite:///{Path(given).expanduser().absolute()}"


def _read(config: Path) -> dict[str, Any]:
    import tomllib

    try:
        text = config.read_text(encoding="utf-8")
        document = tomllib.loads(text)
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise UsageError(f"{config} cannot be read: {error}") from None
    readable_by_others = stat.S_IMODE(config.stat().st_mode) & 0o077
    if readable_by_others and _holds_password(str(document.get("store", ""))):
        raise UsageError(f"{config} holds a password and others may read it: chmod 600 {config}")
    return document


def _holds_password(store: str) -> bool:
    """Whether a store's URL says a password, in either of the ways libpq reads."""
    head, _, options = store.partition("?")
    return ("://" in head and "@" in head and ":" in head.partition("://")[2].rpartition("@")[0]) or (
        "password=" in options.lower()
    )


def _section(config: Path, name: str, kind: Any, given: Any) -> Any:
    if not isinstance(given, dict):
        raise UsageError(f"{config}: [{name}] must be a table")
    values: dict[str, Any] = {}
    for key, value in given.items():
        if key not in kind._fields:
            raise UsageError(f"{config}: unknown key {key!r} in [{name}]")
        default = kind._field_defaults[key]
        if isinstance(default, float) and isinstance(value, int) and not isinstance(value, bool):
            value = float(value)
        expected = type(default) if default is not None else int
        fits = isinstance(value, dict) if isinstance(default, Mapping) else isinstance(value, expected)
        if not fits or (isinstance(value, bool) and expected is not bool):
            wanted = "table" if isinstance(default, Mapping) else expected.__name__
            raise UsageError(f"{config}: {key} in [{name}] must be a {wanted}")
        choices = _CHOICES.get((name, key))
        if choices is not None and value not in choices:
            raise UsageError(f"{config}: {key} in [{name}] must be one of {', '.join(choices)}")
        values[key] = value
    return kind(**values)
