"""Adds the source `faulty` to the runner of a process that has this folder on its path."""

import os
import sys
from pathlib import Path

from gt_runner import sources

sources.__path__.append(str(Path(__file__).parent / "sources"))
sources.SOURCES = (*sources.SOURCES, "faulty")

if "FAULTY_STARTS" in os.environ:  # each process of the runner adds the step that it is
    with Path(os.environ["FAULTY_STARTS"]).open("a") as file:
        file.write(" ".join(sys.orig_argv) + "\n")
