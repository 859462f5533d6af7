"""The Dagger module: the verbs as functions, and the checks of this repository."""

from __future__ import annotations

from dagger import object_type

from .verbs import checks
from .verbs.artifact import Attest, Collect, Summary, Verdict
from .verbs.cases import CasesDiffOnEngine, CasesList, CasesShow, CasesValidate
from .verbs.fetch_on_engine import FetchOnEngine
from .verbs.generate_on_engine import GenerateOnEngine
from .verbs.images import ExportOnEngine, RunnerOnEngine
from .verbs.judge_on_engine import CheckOnEngine, CompareOnEngine, DivergeOnEngine, MetricsOnEngine
from .verbs.pin_on_engine import PinOnEngine
from .verbs.plan import ConcurrencyKey, GitlabPipeline, Matrix, PlanOnEngine, PublishTarget
from .verbs.publish_on_engine import PublishAccessOnEngine, PublishOnEngine
from .verbs.reproduce_on_engine import ReproduceOnEngine
from .verbs.to_dagger import call
from .verbs.trace_on_engine import TraceOnEngine


@object_type
class DiffusionGt:
    """Ground truth for diffusion serving engines, made by the official implementation of each model."""

    # For the session only: whatever is chained to a call that makes something, the call runs once; the next session
    # looks into the result store, by key. The engine's cache of calls knows nothing of a model that moved, a store that
    # is gone, a case that failed, or what a server holds.
    generate = call(GenerateOnEngine, cache="session")
    reproduce = call(ReproduceOnEngine, cache="session")
    trace = call(TraceOnEngine, cache="session")
    publish = call(PublishOnEngine, cache="session")
    fetch = call(FetchOnEngine, cache="session")
    pin = call(PinOnEngine, cache="session")
    # A base image that is named by its tag may be another one tomorrow.
    runner = call(RunnerOnEngine, cache="session")
    export = call(ExportOnEngine, cache="session")
    publish_access = call(PublishAccessOnEngine, cache="never")
    # As long as Dagger likes: pure functions of their arguments and of this module.
    plan = call(PlanOnEngine)
    matrix = call(Matrix)
    check = call(CheckOnEngine)
    metrics = call(MetricsOnEngine)
    compare = call(CompareOnEngine)
    diverge = call(DivergeOnEngine)
    verdict = call(Verdict)
    summary = call(Summary)
    attest = call(Attest)
    collect = call(Collect)
    gitlab_pipeline = call(GitlabPipeline)
    concurrency_key = call(ConcurrencyKey)
    publish_target = call(PublishTarget)
    cases_list = call(CasesList)
    cases_show = call(CasesShow)
    cases_validate = call(CasesValidate)
    cases_diff = call(CasesDiffOnEngine)
    # Checks of this repository.
    lint = checks.check("lint", "Check style and format of this repository.", "ruff check", "ruff format --check")
    types = checks.check("types", "Check the types of this repository.", "mypy")
    tests = checks.check(
        "tests", "Run the tests of this repository, but for those that need an engine.", "pytest -m 'not engine'"
    )
    schemas = checks.check(
        "schemas",
        "Check that the published JSON Schemas are those of the models.",
        "pytest tests/artifact/test_schemas.py",
    )
