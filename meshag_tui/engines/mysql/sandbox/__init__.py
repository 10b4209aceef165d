"""A sandbox with data for MySQL and MariaDB: a private server of the same kind, or databases on one that was named.

`stage` is what the rooms above use; `source` reads what there is, `copying` says what would be read, `places` are where
it goes, `filling` moves the rows.
"""
