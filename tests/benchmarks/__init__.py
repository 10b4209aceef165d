"""Speed, measured: each figure is a ratio or a count taken in one run, against a floor that does the bare minimum.

    python -m tests.benchmarks                 all of them, as a table
    python -m tests.benchmarks sync --json     one, as a JSON document

Nothing here is asserted by the test suite: a busy machine must not fail it.
"""
