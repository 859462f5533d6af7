"""The stand-in for GitHub: it runs what the file says, tells failures, and its services keep what they are given."""

from __future__ import annotations

import pytest

from tests.ci_systems.github import GitHub

JOBS = """
on: {workflow_dispatch: {inputs: {text: {type: string}}}}
jobs:
  make:
    runs-on: 1-gpu-h100
    strategy: {fail-fast: false, matrix: {part: [a, b]}}
    steps:
      - uses: actions/checkout@v9
        with: {persist-credentials: false}
      - id: said
        env: {TEXT: "${{ inputs.text }}"}
        run: |
          test -f action.yml && mkdir out && printf %s "$TEXT" > "out/${{ matrix.part }}"
          echo "part=${{ matrix.part }}" >> "$GITHUB_OUTPUT"; echo "made ${{ matrix.part }}" >> "$GITHUB_STEP_SUMMARY"
      - uses: actions/upload-artifact@v9
        with: {name: "gt-${{ matrix.part }}", path: out}
      - if: matrix.part == 'b'
        id: breaks
        run: echo "to be ${{ secrets.WORD }}"; sleep 0.5; exit 3 # act may lose what a step prints just before it fails
      - id: never
        run: echo never
  gather:
    needs: make
    if: always()
    runs-on: ubuntu-latest
    steps:
      - uses: actions/download-artifact@v9
        with: {path: all}
      - id: list
        run: echo "files=$(cd all && find . -type f | sort | xargs)" >> "$GITHUB_OUTPUT"
"""


def test_steps_run_as_the_file_says_and_services_carry_files_between_jobs(github: GitHub) -> None:
    ran = github.run(JOBS, inputs={"text": "$(touch x)\n`\"'"}, secrets={"WORD": "hidden-word"})
    assert ran.status == 1
    assert ran.jobs == {"make": "failure", "gather": "success"}
    assert (ran.result("breaks", part="a"), ran.result("breaks", part="b")) == ("", "failure")
    assert (ran.result("never", part="a"), ran.result("never", part="b")) == ("success", "")
    assert ran.log("breaks") == "to be ***\n"
    assert ran.outputs("said", part="b") == {"part": "b"}
    assert ran.outputs("list") == {"files": "./gt-a/a ./gt-b/b"}
    assert (ran.artifact("gt-a") / "a").read_text() == "$(touch x)\n`\"'"
    assert sorted(ran.summary.splitlines()) == ["made a", "made b"]
    assert "hidden-word" not in ran.log()
    assert [call["persist-credentials"] for call in ran.calls("actions/checkout")] == ["false", "false"]


def test_an_action_that_nothing_stands_in_for_and_an_unknown_input_are_errors(github: GitHub) -> None:
    with pytest.raises(KeyError, match="somebody/action"):
        github.run(JOBS.replace("actions/download-artifact@v9", "somebody/action@v1"))
    with pytest.raises(AssertionError, match="has no input"):
        github.run(JOBS.replace("persist-credentials", "persist-credential"))
