"""How a setting is changed where the server runs: in its file, or at a provider that has its own way."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from meshag_tui.engines.mysql.facts import Provider, Server

_AT: Mapping[Provider, str] = {
    "RDS": "In the DB parameter group of the instance set {name} = {value}",
    "Aurora": "In the DB parameter group of each instance set {name} = {value}",
    "Cloud SQL": "gcloud sql instances patch INSTANCE --database-flags={name}={value}  (list your other flags too)",
    "Azure": "Under Server parameters set {name} = {value}",
}
_REBOOT: Mapping[Provider, str] = {
    "RDS": "then reboot the instance",
    "Aurora": "then reboot each instance",
    "Cloud SQL": "which restarts the instance",
    "Azure": "save, and restart the server",
}


def file_step(server: Server, name: str, value: str) -> str:
    """How a setting is changed that is read at the server's start."""
    if server.provider in _AT:
        at = _AT[server.provider].format(name=name, value=value)
        return f"{at}, {_REBOOT[server.provider]}"
    return f"[mysqld]\n{name} = {value}\n# in my.cnf, then restart the server"


def running_step(server: Server, sql: str, name: str, value: str) -> str:
    """How a thing is changed now, by `sql`, and for the next start, by a setting."""
    if server.provider in _AT:
        return f"{sql}\n-- and for the next start: {_AT[server.provider].format(name=name, value=value)}"
    return f"{sql}\n-- and for the next start, in my.cnf under [mysqld]: {name} = {value}"
