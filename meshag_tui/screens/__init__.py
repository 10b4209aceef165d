"""What the DBA sees: a pane a file, its CSS beside it, all of them in one switcher.

`places.PANES` registers them, `keys.ACTIONS` says what can be done where, `pane.Pane` is what they have in common.
"""
