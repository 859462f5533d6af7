"""The log of a call of generate on GitHub's page: a group for each job. The lines are those of an engine."""

from __future__ import annotations

import subprocess

import pytest

from tests.conftest import ROOT

LOG = """\
9   : DiffusionGt.generate(sourceGroup: "smoke"): Directory!
12  : ┆ image fetch DONE [0.1s]
13  : ┆ smoke-flux2-cpu
15  : ┆ smoke-flux-cpu
16  : ┆ smoke-flux-cpu: fetch
16  : ┆ smoke-flux-cpu: fetch DONE [0.6s]
20  : ┆ smoke-flux-cpu: generate
21  : ┆ smoke_t2i
23  : ┆ smoke_t2i generate: step 2 of 4
23  : ┆ smoke_t2i generate: step 4 of 4 DONE [0.2s]
20  : ┆ smoke-flux-cpu: generate
21  : ┆ ┆ [0.1s] | other-job: generate
20  : ┆ smoke-flux-cpu: generate DONE [4.3s]
15  : ┆ smoke-flux-cpu DONE [5.2s]
25  : ┆ image smoke
26  : ┆ smoke-flux2-cpu: generate
27  : ┆ smoke_ti2i: failed ERROR [0.6s]
27  : ┆ ! NaN
26  : ┆ smoke-flux2-cpu: generate ERROR [4.2s]
13  : ┆ smoke-flux2-cpu ERROR [9.4s]
9   : gt: 1 of 2 cases is in the artifact (1 made now, 0 made before)
"""


def grouped(log: str) -> list[str]:
    command = [ROOT / ".github" / "log-groups"]
    return subprocess.run(command, input=log, capture_output=True, text=True, check=True).stdout.splitlines()


@pytest.mark.parametrize("colour", ["", "\x1b[95m"])
def test_a_job_has_a_group_from_where_it_generates_to_its_end(colour: str) -> None:
    log = "".join(f"{colour}{line}{colour and chr(27) + '[0m'}\n" for line in LOG.splitlines())
    lines = grouped(log)
    assert [line for line in lines if not line.startswith("::")] == log.splitlines()
    at = [(line, lines[index + 1 : index + 2]) for index, line in enumerate(lines) if line.startswith("::")]
    assert [line for line, _ in at] == [
        *("::group::smoke-flux-cpu", "::endgroup::", "::group::smoke-flux2-cpu", "::endgroup::")
    ]
    starts = [after[0] for _, after in at]
    expected = [
        "20  : ┆ smoke-flux-cpu: gen",
        "25  : ┆ image smoke",
        "26  : ┆ smoke-flux2-cpu: gen",
        "9   : gt: 1 of 2",
    ]
    assert all(start.removeprefix(colour).startswith(words) for start, words in zip(starts, expected, strict=True))


def test_jobs_side_by_side_follow_each_other_in_groups_and_text_of_a_log_opens_none() -> None:
    lines = grouped("1 : a: generate\n2 : b: generate\n1 : a DONE [1s]\n3 : [1s] | c: generate\n2 : b DONE [1s]\nlast")
    assert lines == [
        *("::group::a", "1 : a: generate", "::group::b", "2 : b: generate", "1 : a DONE [1s]"),
        *("3 : [1s] | c: generate", "2 : b DONE [1s]", "::endgroup::", "last"),
    ]
