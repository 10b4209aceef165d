"""MySQL 8.0 to 9 and MariaDB 10.11 and later: everything MeshAG reads from such a server, and what would change one."""
