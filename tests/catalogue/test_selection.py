"""The promises of selection: what does not fit together is refused, with what was probably meant."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ci.catalogue.files import Catalogue, load
from ci.catalogue.selection import Selection, select
from ci.errors import SelectionError

OURS = load()
OFFICIAL = [name for name, case in OURS.cases.items() if case.official]


def ids(selection: Selection) -> list[str]:
    return [case.id for case in select(OURS, selection)]


@pytest.mark.parametrize(
    ("group", "count"), [("", 17), ("all", 17), ("diffusers", 11), ("wan21", 1), ("wan22", 2), ("ltx", 5), ("ltx23", 2)]
)
def test_each_group_holds_the_cases_of_the_seed(group: str, count: int) -> None:
    assert len(ids(Selection(official=True, source_group=group))) == count


def test_the_older_ltx_group_is_a_part_of_the_newer_one() -> None:
    assert set(ids(Selection(True, source_group="ltx23"))) < set(ids(Selection(True, source_group="ltx")))


@given(chosen=st.lists(st.sampled_from(OFFICIAL), min_size=1))
def test_the_cases_of_ids_stand_in_the_catalogues_order(chosen: list[str]) -> None:
    assert ids(Selection(True, tuple(chosen))) == [name for name in OFFICIAL if name in chosen]


@pytest.mark.parametrize(
    ("selection", "said"),
    [
        (Selection(True, ("flux_imag_t2i",)), "did you mean flux_image_t2i"),
        (Selection(True, source_group="difusers"), "did you mean diffusers?"),
        (Selection(True, source_group="x"), "4-gpu-h100, all, diffusers, ltx, ltx23, sglang, smoke, wan21, wan22"),
        (Selection(True, ("wan2_1_t2v_1.3b",), "ltx"), "is not in group 'ltx'; it is in wan21"),
        (Selection(True, ("zimage_image_t2i_fp8",)), "has no official reference: The official script would load"),
        (Selection(False, source_group="ltx"), "holds official cases; add --official"),
        (Selection(True, ("smoke_t2i",)), "add --source-group smoke"),
        (Selection(True, source_group="sglang"), "holds native cases; leave out --official"),
        (Selection(True, ("qwen_image_t2i_2_gpus",)), "is native; leave out --official"),
        (Selection(False, ("pi05_action_http",)), "has no native reference: its output is a robot's actions"),
        (Selection(True, ('x"; rm -rf ~; #',)), "no case is named"),
        (Selection(True, ("smoke_t2x",)), "did you mean smoke_t2v or smoke_t2i"),
    ],
)
def test_a_selection_that_does_not_fit_is_refused_with_what_to_do(selection: Selection, said: str) -> None:
    with pytest.raises(SelectionError) as raised:
        select(OURS, selection)
    assert said in str(raised.value)


def test_every_wrong_id_is_named_at_once() -> None:
    with pytest.raises(SelectionError) as raised:
        select(
            OURS,
            Selection(
                True,
                (
                    "nope",
                    "flux_image_t2i",
                    "neither",
                ),
            ),
        )
    assert len(str(raised.value).splitlines()) == 2


def test_where_there_are_no_native_cases_an_official_one_is_said_to_be_official() -> None:
    official = Catalogue(OURS.cases, OURS.unavailable)
    with pytest.raises(SelectionError, match="'flux_image_t2i' is official; add --official"):
        select(official, Selection(ids=("flux_image_t2i",)))
    with pytest.raises(SelectionError, match=r"the selection is empty: no native case .*--official selects 17 cases"):
        select(official, Selection())


def test_one_case_is_counted_as_one() -> None:
    name = "flux_image_t2i"
    with pytest.raises(SelectionError, match=r"\(--official selects 1 case\)"):
        select(Catalogue({name: OURS.cases[name]}, {}), Selection())
    with pytest.raises(SelectionError, match=r"\(without --official 1 native case\)"):
        select(Catalogue({}, {}, {name: OURS.native[name]}), Selection(official=True))


def test_an_empty_catalogue_is_an_empty_selection() -> None:
    with pytest.raises(SelectionError, match="the selection is empty"):
        select(Catalogue({}, {}), Selection(official=True))


@pytest.mark.parametrize("reserved", ["all", "smoke"])
def test_smoke_cases_belong_to_neither_mode(reserved: str) -> None:
    smoke = ids(Selection(source_group="smoke"))
    assert smoke == ids(Selection(True, source_group="smoke"))
    assert not set(smoke) & set(ids(Selection(True, source_group="all")))
    assert Selection(source_group=reserved).mode == {"all": "native", "smoke": "smoke"}[reserved]
