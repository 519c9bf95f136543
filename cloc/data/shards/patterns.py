"""Paths that a pattern finds."""

import glob
import os


def find(pattern: str) -> list[str]:
    """In order; a path that exists is that path, and a folder that exists is no pattern, whatever
    brackets are in its name."""
    if os.path.lexists(pattern):
        return [pattern]
    folder = os.path.dirname(pattern)
    while folder and not os.path.isdir(folder):
        folder = os.path.dirname(folder)
    return sorted(glob.glob(glob.escape(folder) + pattern[len(folder) :]))
