"""The least-rights user MeshAG needs, as a script an administrator runs once."""

from __future__ import annotations

from meshag_tui.engines.mysql.errors import account, literal, quoted
from meshag_tui.engines.mysql.scope import INTERNAL

_SCRIPT = """\
-- A user for MeshAG that can watch everything and change nothing, on MySQL 8.0 and MariaDB 10.11 or later.
-- Run it as an administrator, with a password of your own; narrow '%' to the address MeshAG comes from if you can.
CREATE USER {user} IDENTIFIED BY 'choose a password' WITH MAX_USER_CONNECTIONS 10;

-- Sees all sessions and transactions, and InnoDB's own figures.
GRANT PROCESS ON *.* TO {user};

-- Sees whether this server is a replica, and how far behind. A MariaDB without performance_schema tells it to nobody
-- else, and what may be a replica is not changed. (MySQL takes the second right for a comment.)
GRANT REPLICATION CLIENT /*M!, SLAVE MONITOR */ ON *.* TO {user};

-- Sees the counters and texts of all statements, and the use of indexes. It must be on: MariaDB ships with it off
-- ([mysqld] performance_schema = ON in my.cnf, and a restart).
GRANT SELECT ON performance_schema.* TO {user};

{schemas}
-- Optional: the size of each index, and when statistics were made.
GRANT SELECT ON mysql.innodb_index_stats TO {user};
GRANT SELECT ON mysql.innodb_table_stats TO {user};
-- On MariaDB also, for its histograms of columns:  GRANT SELECT ON mysql.column_stats TO {user};
"""
_ONE = """\
-- May read tables: without it the server does not show them, and EXPLAIN of a SELECT checks the rights of the statement
-- though it does not run it. Of INSERT, UPDATE and DELETE only what they read is planned.
GRANT SELECT, SHOW VIEW ON {database}.* TO {user};
"""
_ALL = """\
-- May read tables: without it the server does not show them, and EXPLAIN of a SELECT checks the rights of the statement
-- though it does not run it. This prints a GRANT for each database; run those that MeshAG is to watch.
SELECT CONCAT('GRANT SELECT, SHOW VIEW ON `', REPLACE(SCHEMA_NAME, '`', '``'), {to}) AS `run these`
FROM information_schema.SCHEMATA WHERE SCHEMA_NAME NOT IN ({internal});
"""


def setup_sql(user: str, database: str) -> str:
    """The script for a user who watches `database`, or all where that is empty; safe for any names."""
    name = account(user)
    if database:
        schemas = _ONE.format(database=quoted(database), user=name)
    else:
        schemas = _ALL.format(to=literal(f"`.* TO {name};"), internal=", ".join(map(literal, INTERNAL)))
    return _SCRIPT.format(user=name, schemas=schemas)
