"""Advice from a language model: what is sent, how it is asked, and what of the answer is believed.

In comes what the advisor reads too; out come the same `Suggestion` values, marked with their origin and model. A model
only names a change; every name is checked against the catalogue and the SQL is written by the engine.
"""
