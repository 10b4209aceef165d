"""What the user can do, in one table that feeds the keys, the footer, the palette, the help and the reason why not.

An `Action` is a value. Doing it is a method named after it (`do_sync_now` for "sync-now") on the focused widget, one
of its ancestors, or the application; why it cannot be done now is the answer of a `why_not(action_id)` there. So a key
is nowhere compared with a letter, and any key can be changed in the configuration by the action's id.
"""

import inspect
from collections.abc import Awaitable, Iterable, Iterator, Mapping
from typing import NamedTuple

from textual.dom import DOMNode

from meshag_tui.text import one_line
from meshag_tui.types import UsageError
from meshag_tui.widgets.guarded import GuardedApp
from meshag_tui.widgets.page import Piece

_SHOWN_KEYS = {
    "question_mark": "?",
    "slash": "/",
    "left_square_bracket": "[",
    "right_square_bracket": "]",
    "colon": ":",
    "less_than_sign": "<",
    "greater_than_sign": ">",
    "at": "@",
    "minus": "-",
    "equals_sign": "=",
    "space": "space",
    "escape": "esc",
    "pagedown": "pgdn",
    "pageup": "pgup",
}
_KEY_NAMES = {shown: name for name, shown in _SHOWN_KEYS.items()} | {"esc": "escape", "pgdn": "pagedown"}


class Action(NamedTuple):
    """Something the user can do.

    `key` is one key or several with commas between ("down,j"), as users write them ("?", "ctrl+p", "["). `screens` are
    the names of the places it belongs to, none: everywhere. `footer` is its rank there, 0 keeps it out. `writes`: it
    changes a database, and does not exist where writing is not allowed. `bound` is False for keys a widget binds by
    itself under the same id (the table's): they are listed and can be changed, but are not ours to dispatch. `but` are,
    of an action of every place, those where its key does something else. `needs` is the right it takes, "" none: who
    was not given it is told why at once, and no form opens that would be refused in the end.
    """

    id: str
    key: str
    title: str
    help: str
    screens: tuple[str, ...] = ()
    group: str = "General"
    footer: int = 0
    writes: bool = False
    bound: bool = True
    but: tuple[str, ...] = ()
    needs: str = ""

    @property
    def keys(self) -> tuple[str, ...]:
        """Its keys as Textual names them."""
        parts = [part.strip() for part in self.key.split(",")] if self.key != "," else ["comma"]
        return tuple(_KEY_NAMES.get(part, part) for part in parts if part)

    @property
    def shown_key(self) -> str:
        """Its first key as it is shown."""
        return _SHOWN_KEYS.get(self.keys[0], self.keys[0]) if self.keys else ""

    @property
    def handler(self) -> str:
        """The name of the method that does it."""
        return "do_" + self.id.replace("-", "_").replace(".", "_")


def widget_actions() -> tuple[Action, ...]:
    """The keys tables and texts bind by themselves, for help and for changing them."""
    moving = (
        ("down", "down,j", "Down", "Move down"),
        ("up", "up,k", "Up", "Move up"),
        ("page-down", "pgdn,ctrl+f", "Page down", "Move down a page"),
        ("page-up", "pgup,ctrl+b", "Page up", "Move up a page"),
        ("first", "home,g", "First", "Go to the first line"),
        ("last", "end,G", "Last", "Go to the last line"),
    )
    own = (
        ("left", "left,h", "Left", "Read back in a long text; in a plan: fold"),
        ("right", "right,l", "Right", "Read on in a long text; in a plan: unfold"),
        ("open", "enter", "Open", "Open the row"),
        ("mark", "space", "Mark", "Mark the row, to act on several at once"),
    )
    part = Action("focus.next", "tab", "Next part", "Go to the next part", group="Moving", footer=80, bound=False)
    found = [
        Action(f"table.{name}", key, title, said, group="Moving", bound=False) for name, key, title, said in moving
    ]
    found += [
        Action(f"table.{name}", key, title, said, group="Moving", footer=45 if name == "open" else 0, bound=False)
        for name, key, title, said in own
    ]
    return (*found, part)


class Actions:
    """All actions with the keys in force. Raises UsageError for a key that is given twice or an id nobody has."""

    def __init__(self, actions: Iterable[Action], keys: Mapping[str, str] | None = None) -> None:
        """`keys` is the user's mapping of action id to key; an empty key takes it away."""
        given = {action.id: action for action in actions}
        for action_id, key in (keys or {}).items():
            if action_id not in given:
                raise UsageError(f"config.toml: there is no action {action_id!r} to give the key {key!r}: see `?`")
            given[action_id] = given[action_id]._replace(key=key)
        self._actions = given
        self._changed = frozenset(keys or {})
        self._refuse_clashes()

    def _refuse_clashes(self) -> None:
        given: dict[str, list[Action]] = {}
        for action in self:
            for key in action.keys if action.bound else ():
                for other in given.setdefault(key, []):
                    if _meet(action, other):
                        shown = _SHOWN_KEYS.get(key, key)
                        raise UsageError(f"The key {shown!r} is given to both {other.id!r} and {action.id!r}")
                given[key].append(action)

    def __iter__(self) -> Iterator[Action]:
        return iter(self._actions.values())

    def __getitem__(self, action_id: str) -> Action:
        return self._actions[action_id]

    def on(self, screen: str, may_write: bool = True) -> list[Action]:
        """The actions of a screen, its own before the general ones, the writing ones only where that is allowed."""
        here = [a for a in self if (not a.screens or screen in a.screens) and screen not in a.but]
        here = [a for a in here if may_write or not a.writes]
        return [a for a in here if a.screens] + [a for a in here if not a.screens]

    def by_key(self, key: str, screen: str, may_write: bool = True) -> Action | None:
        """What a key (Textual's name) does on a screen."""
        return next((a for a in self.on(screen, may_write) if a.bound and key in a.keys), None)

    def footer(self, screen: str, may_write: bool = True) -> list[Action]:
        """The actions the footer shows, the most important first."""
        return sorted((a for a in self.on(screen, may_write) if a.footer and a.keys), key=lambda a: a.footer)

    @property
    def bound_keys(self) -> frozenset[str]:
        """Every key we dispatch, as Textual names it."""
        return frozenset(key for action in self if action.bound for key in action.keys)

    @property
    def keymap(self) -> dict[str, str]:
        """What the user changed of the widgets' own bindings, for `App.set_keymap`; texts move like tables."""
        found: dict[str, str] = {}
        for action in self:
            if action.id in self._changed and not action.bound:
                found[action.id] = ",".join(action.keys)
                found[action.id.replace("table.", "page.")] = found[action.id]
        return found

    def help_text(self, screen: str, reasons: Mapping[str, str], may_write: bool = True) -> list[Piece]:
        """The help: every action of a screen by group, with its keys, and why it is off where it is."""
        actions = self.on(screen, may_write)
        width = max((len(_keys_shown(action)) for action in actions), default=0)
        parts: list[Piece] = []
        for group in dict.fromkeys(action.group for action in actions):
            parts.append(("bold", f"{group}\n"))
            for action in actions:
                if action.group == group and action.keys:
                    reason = reasons.get(action.id)
                    parts.append(("accent", f"  {_keys_shown(action):<{width}}  "))
                    said = f"{action.help} (not now: {reason})" if reason else action.help
                    parts.append(("dim" if reason else "", f"{said}\n"))
            parts.append(("", "\n"))
        return parts


def _meet(one: Action, other: Action) -> bool:
    """Whether there is a place where both are offered."""
    if one.screens and other.screens:
        return bool(set(one.screens) & set(other.screens))
    own = set(one.screens or other.screens)
    return not own or bool(own - set(one.but) - set(other.but))


def _keys_shown(action: Action) -> str:
    return " ".join(_SHOWN_KEYS.get(key, key) for key in action.keys)


class ActionApp(GuardedApp):
    """A guarded application whose keys come from `Actions`.

    Subclasses keep `place` (the screen that is shown), `may_write` (False on a read-only connection) and `refused` (why
    who acts may not do something, by the right it takes) current, and override `front_pane`. While a dialog is open no
    action of the application is reachable. Done here already are palette, help, theme, redraw and quit, for actions
    with these ids.
    """

    def __init__(self, actions: Actions, theme_wanted: str = "auto") -> None:
        super().__init__(theme_wanted)
        self.actions = actions
        self.place = ""
        self.may_write = True
        self.refused: Mapping[str, str] = {}
        for key in actions.bound_keys:
            self.bind(key, f"press({key!r})", show=False)
        self.set_keymap(actions.keymap)

    async def action_press(self, key: str) -> None:
        """A key of the table was pressed."""
        action = self.actions.by_key(key, self.place, self.may_write)
        if action is not None:
            await self.perform(action.id)

    async def perform(self, action_id: str) -> bool:
        """Do an action, or say why it cannot be done now; True if it was done."""
        action = self.actions[action_id]
        if reason := self.why_disabled(action):
            self.say(f"{action.shown_key} {action.title}: {reason}", "warning")
            return False
        for node in self._action_nodes():
            handler = getattr(node, action.handler, None)
            if handler is not None:
                result = handler()
                if inspect.isawaitable(result):
                    await result
                return True
        raise NotImplementedError(f"nothing on this screen has {action.handler}")

    def why_disabled(self, action: Action) -> str | None:
        """Why an action is off here and now, in a few words; None if it is on."""
        if action.writes and not self.may_write:
            return "this connection is read-only"
        if action.needs in self.refused:
            return one_line(self.refused[action.needs], 200)
        for node in self._action_nodes():
            ask = getattr(node, "why_not", None)
            if ask is not None and (reason := ask(action.id)) is not None:
                return one_line(reason, 200)
            if hasattr(node, action.handler):  # it would be done here: who stands behind has no say
                return None
        return "not on this screen" if action.bound else None

    def reasons(self) -> dict[str, str]:
        """For each action of this place that is off: why."""
        here = self.actions.on(self.place, self.may_write)
        found = ((action.id, self.why_disabled(action)) for action in here if action.bound or action.footer)
        return {action_id: reason for action_id, reason in found if reason}

    def _action_nodes(self) -> list[DOMNode]:
        """Who may do an action: the focused widget and its ancestors, then the pane in front, then we."""
        focused = self.screen_stack[0].focused if self.screen_stack else None
        nodes: list[DOMNode] = [] if focused is None else list(focused.ancestors_with_self)
        pane = self.front_pane()
        if pane is not None and pane not in nodes:
            nodes.insert(0, pane)
        return nodes if self in nodes else [*nodes, self]

    def front_pane(self) -> DOMNode | None:
        """The pane whose actions apply even when nothing in it has the focus; subclasses say which."""
        return None

    def do_palette(self) -> Awaitable[None] | None:
        """Everything that can be done here, to find by a few letters."""
        from meshag_tui.widgets.chooser import Choice, Chooser

        reasons = self.reasons()
        choices = [
            Choice(action.id, f"{action.group}: {action.help}", action.shown_key, reasons.get(action.id, ""))
            for action in self.actions.on(self.place, self.may_write)
            if action.bound and action.id != "palette"
        ]
        self.push_screen(Chooser("What to do", choices), self._chosen)
        return None

    async def _chosen(self, action_id: str | None) -> None:
        if action_id is not None:
            await self.perform(action_id)

    def do_help(self) -> None:
        """Every key of this screen, and why it is off where it is."""
        from meshag_tui.widgets.dialog import TextDialog

        self.push_screen(TextDialog("Keys", self.actions.help_text(self.place, self.reasons(), self.may_write)))

    def do_theme(self) -> None:
        self.action_next_theme()

    def do_redraw(self) -> None:
        self.action_redraw()

    def do_quit(self) -> None:
        self.exit()

    def hint(self, action_id: str) -> str:
        """ "a Apply": for sentences that name a key."""
        action = self.actions[action_id]
        return f"{action.shown_key} {action.title}" if action.keys else action.title


def bar_text(actions: Iterable[Action], reasons: Mapping[str, str], width: int) -> list[tuple[str, str]]:
    """A footer of `width` cells as (text, look) pieces: key and title of as many actions as fit, the disabled in ()."""
    pieces: list[tuple[str, str]] = []
    left = width
    for action in actions:
        off = action.id in reasons
        said = f"({action.shown_key} {action.title})" if off else f"{action.shown_key} {action.title}"
        if len(said) + 2 > left:
            break
        left -= len(said) + 2
        if off:
            pieces.append((said + "  ", "dim"))
        else:
            pieces += ((action.shown_key, "key"), (f" {action.title}  ", ""))
    return pieces
