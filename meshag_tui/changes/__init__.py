"""The hands: the only room from which SQL that changes a monitored database leaves.

`review` shows what would happen, `apply` does it once and judges by the catalogue, `undo` names what puts it back.
A change is data (`types.Change`): the engine writes its SQL from catalogue names, and the session that runs it checks
it again.
"""
