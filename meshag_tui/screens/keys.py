"""What the user can do and by which key: the one table behind keys, footer, palette, help and "why not".

To add an action, add a line, and a method named after it (`do_sync_now` for "sync-now") to a pane or the application.
"""

from __future__ import annotations

from meshag_tui.screens.places import PLACES
from meshag_tui.widgets.actions import Action, widget_actions

_PLACES = tuple(
    Action(f"screen-{place.key}", place.key, place.title, f"Go to {place.title.lower()}", group="Screens")
    for place in PLACES
)

_GENERAL = (
    Action("choose-connection", "c", "Connection", "Choose the connection to look at", footer=75),
    Action("choose-window", "w", "Window", "Choose the span of time to look at", footer=72),
    Action("earlier", "[", "Earlier", "Look at the time before"),
    Action("later", "]", "Later", "Look at the time after, up to now"),
    Action("sync-now", "r", "Sync", "Read the server now", footer=60),
    Action("suggest", "n", "Advise", "Look for improvements now", footer=65),
    Action("cancel", "x", "Cancel", "Cancel what runs for this connection", but=("sessions",)),
    Action("pause-refresh", "p", "Pause", "Hold the screen still; collecting goes on"),
    Action(
        "filter",
        "/",
        "Filter",
        "Show only rows that hold a text; ~ before a regular expression, ! before not",
        footer=67,
    ),
    Action("sort", "s", "Sort", "Sort by the next column", footer=68),
    Action("sort-reverse", "S", "Reverse", "Reverse the order"),
    Action("columns", "C", "Columns", "Choose the columns, or the one to sort by"),
    Action("presets", "F", "Presets", "Choose a kept order, columns and filter, or keep these"),
    Action("copy", "y", "Copy", "Copy what is under the cursor, through the terminal"),
    Action("copy-as", "Y", "Copy as", "Copy it as SQL, Markdown or a command of psql or mysql; or the list"),
    Action("jump-back", "-", "Back there", "Go to the place and connection looked at before"),
    Action("jump-forward", "=", "Forth there", "Go forward again to where that went back from"),
    Action("export", "e", "Export", "Write what is shown to a file"),
    Action("theme", "t", "Theme", "Go to the next theme"),
    Action(
        "palette",
        "ctrl+p,:",
        "Find",
        "Find an action, connection, query, table, index or advice by letters",
    ),
    Action("tour", "ctrl+t", "Tour", "Be shown around, in the order of a triage"),
    Action("help", "?", "Help", "All keys that work here", footer=99),
    Action("back", "esc", "Back", "Go back one level"),
    Action("quit", "q", "Quit", "Leave MeshAG; in a detail: go back"),
)

_CONNECTIONS = tuple(
    Action(name, key, title, said, screens=("connections",), group="Connections", footer=footer)
    for name, key, title, said, footer in (
        ("connection-add", "i", "Add", "Add a connection", 10),
        ("connection-edit", "E", "Edit", "Edit the connection under the cursor", 20),
        ("connection-test", "T", "Test", "Test the connection under the cursor", 25),
        ("connection-pause", "P", "On/off", "Stop or start syncing it", 30),
        ("connection-remove", "D", "Remove", "Forget it, with all its history", 40),
        ("worth-first", "m", "Worth doing", "See what is worth doing most there", 15),
        ("worth-second", "o", "The second", "See the second of what is worth doing", 0),
        ("worth-third", "v", "The third", "See the third of what is worth doing", 0),
    )
)

_DOCTOR = (
    Action("examine", "T", "Ask again", "Ask the server again", ("doctor",), group="Doctor", footer=10),
    Action(
        "statistics-reset", "Z", "Count anew", "Have the server count statements from nothing; history stays",
        ("doctor",), group="Doctor", footer=30, writes=True,
    ),
)  # fmt: skip

_QUERIES = tuple(
    Action(name, key, title, said, screens=("queries",), group="Queries", footer=footer)
    for name, key, title, said, footer in (
        ("explain", "P", "Plan", "Ask the planner how it would run the query now; nothing is run", 46),
        ("measure-query", "b", "Measure", "Measure the advice about the query in a sandbox, after a second key", 0),
        ("why", "W", "Why", "See each index that could serve the query, and why it is suggested or not", 0),
        ("next-metric", "m", "Figure", "Show another figure in the trend", 0),
        ("older-plan", "o", "Older plan", "Show the plan before", 0),
        ("internal", "i", "Internal", "Choose which of the own, utility and catalogue statements are listed", 70),
    )
)

_INDEXES = tuple(
    Action(name, key, title, said, screens=("indexes",), group="Indexes", footer=footer)
    for name, key, title, said, footer in (
        ("indexes-show", "f", "Show", "Show all, or only unused, duplicate or invalid ones", 10),
        ("index-metric", "m", "Figure", "Show its use or its size in the trend", 0),
    )
)

_TABLES = tuple(
    Action(name, key, title, said, screens=("tables",), group="Tables", footer=footer)
    for name, key, title, said, footer in (
        ("tables-show", "f", "Show", "Show all, or only those with something wrong, read whole, written, idle", 10),
        ("table-metric", "m", "Figure", "Show another figure in the trend", 0),
    )
)

_SESSIONS = tuple(
    Action(name, key, title, said, screens=("sessions",), group="Sessions", footer=footer, writes=writes)
    for name, key, title, said, footer, writes in (
        ("sessions-show", "f", "Show", "Show all, or only those at work, blocked, in a transaction", 10, False),
        ("session-tree", "b", "Blocking", "See who blocks whom, and the vital figures", 15, False),
        ("session-end", "x", "Stop", "Cancel its statement or end it; a second key does", 20, True),
        ("session-query", "o", "Its query", "Go to the page of its statement; in a session enter does", 25, False),
        ("session-moment", "T", "At", "Go to a moment: what did it do at 03:12?", 30, False),
        ("session-zoom", "z", "Zoom", "Show another span of time in the plot", 35, False),
    )
)

_COMPARE = tuple(
    Action(name, key, title, said, screens=("compare",), group="What changed", footer=footer)
    for name, key, title, said, footer in (
        ("compare-against", "f", "Against", "Choose the window this one is compared with", 10),
        ("time-line", "T", "Time line", "See what else happened: plans, schema, settings, sizes, changes", 20),
    )
)

_SUGGESTIONS = tuple(
    Action(name, key, title, said, screens=("suggestions",), group="Suggestions", footer=footer, writes=writes)
    for name, key, title, said, footer, writes in (
        ("apply", "a", "Apply", "Show exactly what would run, of one or of all marked; a second key runs it", 10, True),
        ("undo", "u", "Undo", "Show what puts the change back; a second key runs it", 25, True),
        (
            "benchmark",
            "b",
            "Measure",
            "Show what a sandbox would read; a second key measures there",
            22,
            False,
        ),
        ("measured", "B", "Measured", "Show what was measured of it last", 0, False),
        ("dismiss", "d", "Dismiss", "Put aside for good, with a reason", 15, False),
        ("reviewed", "v", "Reviewed", "Mark as looked at; a dismissed one comes back", 20, False),
        ("migration", "E", "Migration", "Write what is marked as an up and a down file for psql or mysql", 0, False),
        ("suggestions-show", "f", "Show", "Show others: by status, priority, type", 30, False),
        ("applied", "o", "Outcomes", "See what was applied, and what each change bought", 0, False),
        (
            "verify",
            "M",
            "Measure",
            "Of what was applied: compare it with the time before it, now",
            0,
            False,
        ),
        ("calibration", "K", "Calibration", "Of what was applied: see how often forecasts held", 0, False),
        ("ask-model", "N", "Ask model", "See what a language model would be sent, and ask it", 0, False),
    )
)

_RUNS = tuple(
    Action(name, key, title, said, screens=("runs",), group="Runs of agents", footer=footer, writes=writes)
    for name, key, title, said, footer, writes in (
        ("run-agree", "a", "Agree", "Show what a run of an agent waits for; a second key agrees to it", 10, True),
        ("run-refuse", "d", "Refuse", "Agree to nothing of what it waits for: it goes on without", 0, False),
        ("run-resume", "R", "Go on", "Let a run that failed or was stopped go on behind its last step", 0, False),
    )
)

_ALL_RUNS = tuple(
    Action(name, key, title, said, screens=("runs",), group="Runs", footer=footer)
    for name, key, title, said, footer in (
        ("runs-show", "f", "Show", "Show others: by state, kind, agent, project, age", 30),
        ("run-note", "N", "Note", "Write a line about the run into the activity log", 0),
        ("log-older", "o", "Older lines", "Show the page of its log before this one", 0),
        ("log-newer", "O", "Newer lines", "Show the page of its log after this one", 0),
    )
)

_ACTIVITY = Action(
    "activity-verify",
    "V",
    "Verify",
    "Read the whole log: was an entry altered, removed or moved?",
    screens=("activity",),
    group="Activity",
    footer=10,
)

_TALK = Action(
    "talk",
    "T",
    "Talk",
    "Ask a model about this, with its evidence; exactly what is sent is shown before the first time",
    screens=("queries", "suggestions"),
    group="Models",
    footer=47,
)

ENTITY_PLACES = ("models", "health")
"""Places made of `screens.entities`: they have the same keys."""
_ENTITIES = tuple(
    Action(name, key, title, said, screens=ENTITY_PLACES, group="Lists", footer=footer)
    for name, key, title, said, footer in (
        ("part-next", "f", "Next part", "Go to the next list of this screen", 10),
        ("part-before", "b", "Part before", "Go to the list before", 0),
        ("entity-add", "i", "Add", "Add one", 20),
        ("entity-edit", "E", "Edit", "Change the one under the cursor", 25),
        ("entity-try", "T", "Test", "Try the one under the cursor out", 30),
        ("entity-switch", "P", "On/off", "Switch the one under the cursor off or on", 35),
        ("entity-remove", "D", "Remove", "Forget the one under the cursor", 40),
        ("entity-more", "m", "More", "What else can be done in this list", 15),
    )
)

_NEEDS = {
    "collect": ("sync-now", "cancel", "connection-test", "connection-pause"),
    "analyze": ("suggest", "explain", "dismiss", "reviewed", "verify", "run-resume"),
    "llm": ("ask-model", "talk"),
    "sandbox": ("measure-query", "benchmark"),
    "apply": ("apply", "undo", "session-end", "statistics-reset"),
    "approve": ("run-agree", "run-refuse"),
    "admin": ("connection-add", "connection-edit", "connection-remove"),
}
"""The right that an action takes, of `store.people`; lists of `screens.entities` say it of each of their verbs."""
_RIGHT = {action_id: right for right, ids in _NEEDS.items() for action_id in ids}

_ALL: tuple[Action, ...] = (
    *_PLACES,
    *_CONNECTIONS,
    *_QUERIES,
    *_INDEXES,
    *_TABLES,
    *_SUGGESTIONS,
    _TALK,
    *_RUNS,
    *_ALL_RUNS,
    *_DOCTOR,
    _ACTIVITY,
    *_COMPARE,
    *_ENTITIES,
    *_SESSIONS,
    *_GENERAL,
    *widget_actions(),
)
ACTIONS = tuple(action._replace(needs=_RIGHT.get(action.id, "")) for action in _ALL)
