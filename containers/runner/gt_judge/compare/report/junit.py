"""A comparison as JUnit XML: a test for each case, in a suite for published GT and one for the serving engine."""

from __future__ import annotations

from pathlib import Path

from junitparser import Failure, JUnitXml, TestCase, TestSuite

from ...text import printable
from ..result import CaseResult, Comparison, Grade, Measurement, Verdict

SUITES = {"published": "against published GT", "engine": "engine's output against GT"}


def write(comparison: Comparison, path: Path) -> None:
    """Write the file."""
    xml = JUnitXml()
    if any(case.grade is not None for case in comparison.cases):
        xml.add_testsuite(_suite(SUITES["published"], [(case, _against_published(case)) for case in comparison.cases]))
    cases = [case for case in comparison.cases if case.verdict is not None]
    if cases:
        xml.add_testsuite(_suite(SUITES["engine"], [(case, _against_gt(case)) for case in cases]))
    xml.write(str(path), pretty=True)


def _suite(name: str, cases: list[tuple[CaseResult, list[str]]]) -> TestSuite:
    suite = TestSuite(name)
    for case, problems in cases:
        test = TestCase(printable(case.name), classname=f"diffusion-gt.{name.replace(' ', '-')}")
        if problems:
            lines = [printable(problem) for problem in problems]
            failure = Failure(lines[0])
            failure.text = "\n".join(lines)
            test.result = [failure]
        suite.add_testcase(test)
    return suite


def _against_published(case: CaseResult) -> list[str]:
    changes = [file for file in case.files if file.grade == Grade.CHANGED]
    return [
        *case.why_missing,
        *(f"{file.pair.name}: changed: {', '.join(file.beyond) or _values(file.gt)}" for file in changes),
    ]


def _against_gt(case: CaseResult) -> list[str]:
    others = [file for file in case.files if file.verdict != Verdict.PASSED]
    return [": ".join(filter(None, [file.pair.name, file.verdict, ", ".join(file.failed)])) for file in others]


def _values(measurement: Measurement | None) -> str:
    if measurement is None:
        return ""
    if measurement.error:
        return measurement.error
    return ", ".join(f"{name} {value:.4g}" for name, value in measurement.values.items() if value is not None)
