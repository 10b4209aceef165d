"""What MeshAG does on its own, durably: syncs, advice, changes, upkeep, and the scheduler that starts them.

`workbench.Workbench` is the one door for the command line and the screens: they use no engine and no `changes/`
directly.
"""
