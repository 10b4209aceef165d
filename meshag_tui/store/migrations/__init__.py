"""Numbered migrations: `up(migrator, db)` in one transaction; never edited once released."""
