"""Fill pg_stat_statements with any number of different statements, quickly and without tables."""

from __future__ import annotations

from psycopg import Connection, sql

BITS = 17


def run_statements(connection: Connection[tuple[object, ...]], count: int, text_bytes: int = 0) -> None:
    """Run `count` statements that differ in structure: the same ones for the same count, so a second call adds calls.

    Each is a sum whose signs spell its number; `text_bytes` of comment make its text long. They run in the server,
    inside one block, so pg_stat_statements.track must be 'all'.
    """
    padding = "x" * text_bytes
    body = sql.SQL(
        """
        DECLARE text text; i int; b int;
        BEGIN
            FOR i IN 0 .. {last} LOOP
                text := 'SELECT ' || {padding} || '1';
                FOR b IN 0 .. {bits} LOOP
                    text := text || CASE WHEN (i >> b) & 1 = 1 THEN '+2' ELSE '-2' END;
                END LOOP;
                EXECUTE text;
            END LOOP;
        END
        """
    ).format(
        last=sql.Literal(count - 1),
        bits=sql.Literal(BITS - 1),
        padding=sql.Literal(f"/* {padding} */ " if padding else ""),
    )
    connection.execute(sql.SQL("DO {}").format(sql.Literal(body.as_string(connection))))
