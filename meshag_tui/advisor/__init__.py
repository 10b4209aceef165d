"""What is wrong and what would help, with evidence.

In come the catalogue and workload as the store remembers them and one read-only session of an engine; out come
`Suggestion` values. Nothing here knows SQL of one engine: plans are asked of the session and statements rendered by it.
"""
