"""Promises that no single room can keep alone: each test goes through the command line to real servers."""
