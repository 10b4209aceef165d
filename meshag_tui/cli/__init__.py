"""The `meshag` command: parse, call a workflow or read the store, print text or one JSON document.

`parser` knows the words, `command` runs one of them and turns its end into an exit code, `output` prints; the other
modules hold the commands by theme. A command is imported when it is called: `--version` and `--help` load none.
"""
