"""`python -m ci.catalogue.upstream CHECKOUT REF` records the definitions that the case files agree with."""

from __future__ import annotations

import argparse
from pathlib import Path

from .. import files
from . import recorded
from .diff import defined
from .recorded import Record, digest


def main() -> None:
    """Write the digests of a checkout's definitions beside the case files."""
    parser = argparse.ArgumentParser(prog="python -m ci.catalogue.upstream")
    parser.add_argument("checkout", type=Path, help="A checkout of the repository.")
    parser.add_argument("ref", help="The commit or tag that is checked out.")
    parser.add_argument("--cases", type=Path, default=files.CASES, help="The folder of the case files.")
    parser.add_argument("--repo", default="sgl-project/sglang", help="The repository.")
    options = parser.parse_args()
    definitions = defined(files.load(options.cases), options.checkout)
    digests = {name: digest(each) for name, each in definitions.items()}
    record = Record(repo=options.repo, ref=options.ref, definitions=digests)
    print(recorded.write(options.cases, record))  # noqa: T201


if __name__ == "__main__":
    main()
