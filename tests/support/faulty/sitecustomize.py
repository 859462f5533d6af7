"""Adds the source `faulty` to the runner of a process that has this folder on its path."""

from pathlib import Path

from gt_runner import sources

sources.__path__.append(str(Path(__file__).parent / "sources"))
sources.SOURCES = (*sources.SOURCES, "faulty")
