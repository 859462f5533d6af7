"""What a caller of the module reads: of arguments that name nothing, and in errors."""

from __future__ import annotations

import ast
from pathlib import Path

import anyio
import pytest
from dagger.mod._exceptions import FunctionError

from ci.errors import GtError, PublishError
from ci.run import transfer, wording
from ci.verbs import to_dagger
from ci.verbs.fields import Field, fields
from ci.verbs.generate_on_engine import GenerateOnEngine
from ci.verbs.publish_on_engine import PublishAccessOnEngine, PublishOnEngine
from tests.conftest import ROOT

LISTS = [field for field in fields(GenerateOnEngine) if field.kind is tuple and field.inner is str]


def message(error: Exception) -> str:
    with pytest.raises(FunctionError) as refusal, to_dagger.plain_errors():
        raise error
    return str(refusal.value)


@pytest.mark.parametrize("field", LISTS, ids=lambda field: field.name)
@pytest.mark.parametrize("words", [[], [""], [" ", ","]])
def test_a_list_that_is_given_and_names_nothing_is_refused_by_its_option(field: Field, words: list[str]) -> None:
    with pytest.raises(GtError, match=f"^{field.option} is empty; "):
        anyio.run(to_dagger._value, field, words)
    assert anyio.run(to_dagger._value, field, None) == ()


def test_the_words_of_a_list_are_those_that_gt_reads() -> None:
    field = next(field for field in LISTS if field.name == "case_ids")
    assert anyio.run(to_dagger._value, field, ["a b", "c,a"]) == ("a", "b", "c")


@pytest.mark.parametrize(("name", "value"), [("parallel", -1), ("max_minutes", -0.5), ("max_minutes", float("nan"))])
def test_a_number_with_which_a_call_would_never_end_or_at_once_is_refused(name: str, value: float) -> None:
    field = next(field for field in fields(GenerateOnEngine) if field.name == name)
    with pytest.raises(GtError, match=f"^{field.option} {value:g}: a number from 0 on"):
        anyio.run(to_dagger._value, field, value)
    assert anyio.run(to_dagger._value, field, 0) == 0


def test_an_error_names_a_folder_as_the_caller_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    cases = transfer.fresh_folder() / "cases"
    assert message(GtError(f"{cases} holds no case file")) == "cases holds no case file"
    assert message(GtError(f"{cases.absolute()}/a.yaml:3: bad")) == "cases/a.yaml:3: bad"


def test_an_error_of_the_engine_comes_without_its_trace() -> None:
    assert message(GtError("git error: exit status 128 [traceparent:12-ab]; check it")) == (
        "git error: exit status 128; check it"
    )


def test_the_runners_advice_names_options_that_the_module_has() -> None:
    advice = "a/b is gated: accept its licence at https://hub and set HF_TOKEN to a token of that account"
    assert message(GtError(advice)).endswith("and give with --hf-token a token of that account")


def test_every_word_of_advice_that_is_replaced_is_one_that_is_given() -> None:
    texts = "\n".join(
        node.value
        for folder in ("containers/runner/gt_runner/fetch", "ci/artifact")
        for path in (ROOT / folder).glob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    )
    assert [words for words in wording.WORDS if words not in texts] == []
    assert "--models" not in wording.of_the_module("\n".join(wording.WORDS))


@pytest.mark.parametrize("address", ["git@example.org:a/b.git", "ssh://git@example.org/a/b", "../data", "/srv/data"])
@pytest.mark.parametrize("verb", [PublishAccessOnEngine, PublishOnEngine])
def test_a_data_repository_that_only_the_callers_machine_reaches_is_refused(
    verb: type[PublishAccessOnEngine] | type[PublishOnEngine], address: str
) -> None:
    with pytest.raises(PublishError, match="for ssh and paths use gt publish"), verb(to=address).remote():
        pass
