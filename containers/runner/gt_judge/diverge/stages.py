"""The names of stages: their order in a run, what each depends on, and what makes it."""

from __future__ import annotations

import re

ORDER = (
    "prompt_embeds",
    "negative_prompt_embeds",
    "condition",
    "noise",
    "timesteps",
    "sigmas",
    "latents",
    "model_output",
    "decoded",
)
PROMPTS = ("prompt_embeds", "negative_prompt_embeds")
SCHEDULE = ("timesteps", "sigmas")
DRAWN = ("noise", *SCHEDULE)  # by few operations, and from nothing that a network made
LOOPED = ("latents", "model_output")
LAST, UNKNOWN = 1 << 30, 1 << 31  # a step, and a loop, after all others
NUMBER = re.compile(r"(\d+)")
STEP = re.compile(r"[0-9]{1,9}")
NAME = re.compile(r"(?:stage_(?P<loop>\d{1,6})\.)?(?P<family>[a-z_]+)(?P<rest>\..*)?")


def _parts(stage: str) -> tuple[int, str, str]:
    """Loop (from 1), family and what follows it; an unknown name is a family of its own."""
    match = NAME.fullmatch(stage)
    if match is None or match["family"] not in ORDER:
        return UNKNOWN, stage, ""
    return int(match["loop"] or 1), match["family"], (match["rest"] or "")[1:]


def family(stage: str) -> str:
    """The first word of the name, without the loop: `latents` of `stage_2.latents.0`."""
    return _parts(stage)[1]


def loop(stage: str) -> int:
    """The loop that the stage belongs to, from 1."""
    return _parts(stage)[0]


def step(stage: str) -> int | None:
    """The step (from 0) of `latents.K` and `model_output.K`; None for all other stages."""
    _, name, rest = _parts(stage)
    return int(rest) if name in LOOPED and STEP.fullmatch(rest) else None


def at_step(stage: str, number: int) -> str:
    """The same stage at another step."""
    return f"{stage.rpartition('.')[0]}.{number}"


def beside(stage: str, name: str) -> str:
    """A stage of this name in the same loop."""
    prefix = re.match(r"stage_\d+\.", stage)
    return (prefix[0] if prefix else "") + name


def order(stage: str) -> tuple[int, int, int, int, str]:
    """Sorts stages as a run makes them; unknown ones come last."""
    number, name, rest = _parts(stage)
    if number == UNKNOWN:
        return number, 0, 0, 0, stage
    if name == "decoded" and not stage.startswith("stage_"):
        number = LAST  # after all loops
    if name not in LOOPED:
        place = ORDER.index(name)
        return number, place, 0, 0, NUMBER.sub(lambda digits: digits[0].zfill(9), rest)
    at = step(stage)
    if at is None:
        at = LAST - 1 if rest == "final" else LAST
    return number, ORDER.index("latents"), at, LOOPED.index(name), rest


def maker(stage: str) -> str:
    """What made the stage: stages of one maker come from the same network or the same rule."""
    number, name, rest = _parts(stage)
    if name == "latents" and rest == "0":
        return f"{number} first latents"
    if name in LOOPED:
        return f"{number} {name}"
    if name == "condition":
        return f"{number} condition"
    return f"{number} {name.removeprefix('negative_')} {rest}"


def axes_of(stage: str) -> str:
    """Stages of one layout: what is learned of one of them goes for the others."""
    number, name, _ = _parts(stage)
    return f"{number} latents" if name in LOOPED else name.removeprefix("negative_")


def source(stage: str) -> str:
    """What a difference that begins here comes from, in words."""
    number, name, rest = _parts(stage)
    if number == UNKNOWN:
        return "what makes this stage"
    words = _source(stage, name, rest)
    return words if number == 1 else f"{words}, in loop {number}"


def _source(stage: str, name: str, rest: str) -> str:
    at = step(stage)
    if name == "model_output":
        return f"{_step(at)}'s transformer or its guidance" if at is not None else "the transformer"
    if name == "latents":
        if at == 0:
            return "what is done to the first noise before the loop"
        return "the last step of the scheduler" if at is None else f"the scheduler in {_step(at - 1)}"
    return {
        "prompt_embeds": "the prompt or its encoding",
        "negative_prompt_embeds": "the negative prompt or its encoding",
        "condition": f"input image {rest or 0} or its encoding",
        "noise": "the generator of the first noise",
        "timesteps": "the scheduler's timesteps",
        "sigmas": "the scheduler's sigmas",
        "decoded": "the decoder, or the scaling and shift of the latents before it",
    }[name]


def _step(number: int) -> str:
    return "the first step" if number == 0 else f"step {number} (from 0)"


def is_made_from(stage: str, earlier: str) -> bool:
    """Whether a stage takes in what an earlier one holds, be it through others."""
    if family(stage) in (*PROMPTS, "condition", *DRAWN):
        return False
    return family(earlier) not in PROMPTS or not is_first_latents(stage) or loop(stage) > 1


def inputs(stage: str) -> tuple[str, ...]:
    """The stages of the loop that a step makes this one from."""
    at = step(stage)
    if family(stage) == "model_output" and at is not None:
        return (beside(stage, f"latents.{at}"),)
    return (at_step(stage, at - 1), beside(stage, f"model_output.{at - 1}")) if at else ()


def is_first_latents(stage: str) -> bool:
    """Whether this is what the loop starts from."""
    return family(stage) == "latents" and step(stage) == 0
