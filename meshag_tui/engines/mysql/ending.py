"""Stopping a session of somebody else, for `changes/` alone: it is looked at again immediately before.

KILL takes a number and nothing else. The numbers of sessions are not given twice while a server runs; a statement that
ends between the look and the KILL QUERY is a race the servers leave open, of the time of one answer.
"""

from __future__ import annotations

from meshag_tui.engines.base import Limits, PermissionDenied
from meshag_tui.engines.mysql import capabilities
from meshag_tui.engines.mysql.errors import number
from meshag_tui.engines.mysql.live import Live
from meshag_tui.engines.mysql.session import connect
from meshag_tui.live import Ended, Ending
from meshag_tui.types import Target

_UNKNOWN_THREAD = 1094
_NOT_OWNER = 1095
_RIGHTS = {"MySQL": "CONNECTION_ADMIN", "MariaDB": "CONNECTION ADMIN"}


def end_sql(ending: Ending) -> str:
    """Exactly what runs, after the look."""
    return f"KILL {'QUERY ' if ending.way == 'cancel' else ''}{ending.session.id:d}"


async def end(target: Target, limits: Limits, ending: Ending) -> Ended:
    """Look whether the session is what was seen, and stop it. PermissionDenied says which right is missing."""
    async with connect(target, "ending", limits) as session:
        now = await Live(session).read(idle=True, vitals=False)
        seen = next((each for each in now.sessions if each.id == ending.session.id), None)
        if seen is None:
            return Ended("gone")
        if seen.same_as != ending.session.same_as or seen.state != ending.session.state:
            return Ended("changed")
        try:
            await session.fetch(end_sql(ending))
        except Exception as error:
            if number(error) == _UNKNOWN_THREAD:
                return Ended("gone")
            if number(error) == _NOT_OWNER or isinstance(error, PermissionDenied):
                right = _RIGHTS[session.server.flavour]
                fix = f"GRANT {right} ON *.* TO {capabilities.grantee(session.server)};"
                raise PermissionDenied(str(error), fix) from error
            raise
        return Ended("sent")
