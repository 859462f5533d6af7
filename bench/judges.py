"""What our judges are worth: uv run python -m bench.judges FOLDER -o OUT gives OUT/judges.md and OUT/judges.json.

Each image of the folder is spoilt in twelve ways at three strengths and judged against itself: what passes is a miss.
Two harmless changes, and with --other the images of the same names in another folder, must pass: what does not is a
false alarm. A folder of images that took no part in choosing a limit is the honest one.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from PIL import Image

from gt_judge import artifact, pool
from gt_judge.check import quality, rules
from gt_judge.check.check import check
from gt_judge.compare import similarity
from gt_judge.compare.thresholds import LOWER_IS_BETTER, serving_thresholds
from gt_judge.errors import JudgeError
from gt_judge.published import Published
from gt_pictures.errors import PictureError
from gt_pictures.reading import Picture, read

from .spoiling import HARMLESS, SPOILT, STRENGTHS, Change

FEWEST = 2  # images: one of the ways takes another image of the set
OTHER = "another implementation's image"
GATE_ALONE, GATE = "gate, alone", "gate, published"
MEASURES = ("ssim", "psnr", "mean_abs_diff")
JUDGES = (GATE_ALONE, GATE, *MEASURES)
# Rules of the gate that are for one way of spoiling: metric, rule, and the start of the way's name.
OURS = (
    ("fine_detail", "blurred", "blur"),
    ("grain", "grainy", "noise"),
    ("detail_change", "blurred against the published image", "blur"),
    ("grain_change", "noisy against the published image", "noise"),
    ("shift_gain", "shifted", "shift"),
    ("crop_gain", "cropped", "crop"),
    ("colour_gain", "red and blue swapped", "red for blue"),
)


@dataclass(frozen=True)
class Setting:
    """One change of every image of a folder, as a process of its own can do it."""

    images: Sequence[Path]
    way: str
    strength: int | None  # of STRENGTHS; None: the change is harmless
    other: Path | None = None  # a folder: its images instead of changed ones

    @property
    def change(self) -> Change:
        """What is done to an image."""
        return HARMLESS[self.way] if self.strength is None else SPOILT[self.way][self.strength]


@dataclass(frozen=True)
class Judgement:
    """What the judges say of one changed image against the original. `values`: PSNR is infinite where none is."""

    file: str
    way: str
    strength: int | None
    refused: dict[str, bool]  # by judge
    values: dict[str, float]  # by metric


def measure(folder: Path, other: Path | None = None, ways: Iterable[str] = SPOILT) -> list[Judgement]:
    """Judge every change of every image. Raises JudgeError where the folders do not hold what that takes."""
    images = artifact.images(folder)
    if len(images) < FEWEST:
        raise JudgeError(f"{folder} holds {len(images)} images; {FEWEST} are needed at least")
    twice = [stem for stem, count in Counter(path.stem for path in images).items() if count > 1]
    if twice:  # a changed image is a PNG file of that name
        raise JudgeError(f"{folder} holds several images that are named {', '.join(twice)}; name each otherwise")
    settings = [Setting(images, way, None) for way in HARMLESS]
    settings += [Setting(images, way, strength) for way in ways for strength in range(len(STRENGTHS))]
    if other is not None:
        shared = [path for path in images if (other / path.name).is_file()]
        if not shared:
            raise JudgeError(f"{other} holds no image of a name that is in {folder}")
        settings.append(Setting(shared, OTHER, None, other))
    return [judgement for several in pool.each(_judge, settings) for judgement in several]


def _judge(setting: Setting) -> list[Judgement]:
    with tempfile.TemporaryDirectory(prefix="gt-judges-") as folder:
        before, after = Path(folder, "before"), Path(folder, "after")
        before.mkdir()
        after.mkdir()
        originals = [_rgb(path) for path in setting.images]
        for number, (path, original) in enumerate(zip(setting.images, originals, strict=True)):
            another = originals[(number + 1) % len(originals)]
            copy = _rgb(setting.other / path.name) if setting.other else setting.change(original, another)
            original.save(before / f"{path.stem}.png")
            copy.save(after / f"{path.stem}.png")
        answers = check(artifact.read(after, images_only=True), Published(before))["files"]
        pairs = {path.name: (read(after / path.name), read(before / path.name)) for path in artifact.images(after)}
        return [_judged(setting, name, answers[name], *pair) for name, pair in pairs.items()]


def _rgb(path: Path) -> Image.Image:
    try:
        return Image.fromarray(read(path).rgb)
    except PictureError as error:
        raise JudgeError(f"{path}: {error}") from None


def _judged(setting: Setting, name: str, answer: Mapping[str, object], new: Picture, original: Picture) -> Judgement:
    metrics = answer["metrics"]
    assert isinstance(metrics, dict)
    similarities = similarity.measure(new, original)
    bounds = serving_thresholds().defaults["image"].bounds()
    values = {measure: float("inf") if (value := similarities[measure]) is None else value for measure in MEASURES}
    alone = rules.gate().problems(quality.measure(new), {})
    refusals = {GATE_ALONE: bool(alone), GATE: bool(answer["problems"])}
    refusals |= {measure: _beyond(measure, values[measure], bounds[measure]) for measure in MEASURES}
    own = {metric: metrics[metric] for metric, *_ in OURS if metric in metrics}
    return Judgement(Path(name).stem, setting.way, setting.strength, refusals, own | values)


def _beyond(metric: str, value: float, limit: float) -> bool:
    return value > limit if metric in LOWER_IS_BETTER else value < limit


def table(judgements: Sequence[Judgement]) -> Iterator[str]:
    """False alarms, then misses at each strength, by way and judge: as Markdown."""
    yield "| change | images | " + " | ".join(JUDGES) + " |"
    yield "|" + " --- |" * (len(JUDGES) + 2)
    for way in dict.fromkeys(each.way for each in judgements if each.strength is None):
        own = [each for each in judgements if each.way == way]
        alarms = [str(sum(each.refused[judge] for each in own)) for judge in JUDGES]
        yield f"| *sound*: {way} | {len(own)} | {' | '.join(alarms)} |"
    for way in dict.fromkeys(each.way for each in judgements if each.strength is not None):
        counts = [[_missed(judgements, way, strength, judge) for strength in range(len(STRENGTHS))] for judge in JUDGES]
        count = sum(each.way == way for each in judgements) // len(STRENGTHS)
        yield f"| {way} | {count} | {' | '.join(' '.join(map(str, three)) for three in counts)} |"


def _missed(judgements: Sequence[Judgement], way: str, strength: int, judge: str) -> int:
    return sum(not each.refused[judge] for each in judgements if (each.way, each.strength) == (way, strength))


@dataclass(frozen=True)
class Limit:
    """A limit in force, and what the images say of it."""

    metric: str
    higher_is_worse: bool
    value: float
    ways: list[str]  # that it is for

    def misses(self, judgements: Sequence[Judgement], at: float) -> list[int]:
        """At each strength, if the limit were there. What has no value was not worth looking at: it is missed."""
        return [
            sum(
                not self._refuses(each, at)
                for each in judgements
                if each.way in self.ways and each.strength == strength
            )
            for strength in range(len(STRENGTHS))
        ]

    def worst_sound(self, judgements: Sequence[Judgement]) -> float:
        """The value of a sound image that is nearest to being refused: a limit inside of it raises a false alarm.

        0 where nothing was worth looking at, which is what these metrics have for no change.
        """
        values = [
            each.values[self.metric] for each in judgements if each.strength is None and self.metric in each.values
        ]
        return max(values, default=0.0) if self.higher_is_worse else min(values, default=0.0)

    def alarms(self, judgements: Sequence[Judgement], at: float) -> int:
        """Sound images beyond it."""
        return sum(self._refuses(each, at) for each in judgements if each.strength is None)

    def _refuses(self, judgement: Judgement, at: float) -> bool:
        value = judgement.values.get(self.metric)
        return value is not None and (value > at if self.higher_is_worse else value < at)


def limits(judgements: Sequence[Judgement]) -> list[Limit]:
    """The limits in force that a value of these images can be held against."""
    ways = list(dict.fromkeys(each.way for each in judgements if each.strength is not None))
    bounds = serving_thresholds().defaults["image"].bounds()
    results = [Limit(name, name in LOWER_IS_BETTER, bounds[name], ways) for name in MEASURES]
    by_name = {rule.name: rule for rule in rules.gate().rules}
    for metric, rule, start in OURS:
        (condition,) = (each for each in by_name[rule].all if each.metric == metric)
        own = [way for way in ways if way.startswith(start)]
        value = condition.above if condition.above is not None else condition.below
        if own and value is not None:
            results.append(Limit(metric, condition.above is not None, value, own))
    return results


def limits_table(judgements: Sequence[Judgement]) -> Iterator[str]:
    """Each limit with its false alarms and misses, and what it would catch at the worst sound value: as Markdown."""
    yield "| metric | limit | false alarms | misses | worst sound value | misses there | the limit |"
    yield "|" + " --- |" * 7
    for limit in limits(judgements):
        worst, alarms = limit.worst_sound(judgements), limit.alarms(judgements, limit.value)
        misses, there = limit.misses(judgements, limit.value), limit.misses(judgements, worst)
        counts, best = (" ".join(map(str, three)) for three in (misses, there))
        words = _verdict(alarms, misses, there)
        yield f"| `{limit.metric}` | {limit.value:g} | {alarms} | {counts} | {worst:.3g} | {best} | {words} |"


def _verdict(alarms: int, misses: Sequence[int], there: Sequence[int]) -> str:
    """A limit agrees where it refuses nothing sound, and misses no more than any limit without false alarms must."""
    if alarms:
        return "would move outwards: it refuses sound images"
    if sum(misses[1:]) > sum(there[1:]):
        return "would move inwards"
    return "agrees" if not sum(misses[1:]) else "agrees: no limit without false alarms misses less"


def _finite(value: float) -> float | None:
    """JSON has no word for infinity."""
    return value if math.isfinite(value) else None


def main() -> int:
    """Measure, write, print the tables."""
    parser = argparse.ArgumentParser(prog="bench.judges", description=__doc__)
    parser.add_argument("folder", type=Path, help="images that are sound")
    parser.add_argument("--other", type=Path, help="images of the same names that are as sound, by other code")
    parser.add_argument("-o", "--output", type=Path, required=True, help="folder for judges.md and judges.json")
    options = parser.parse_args()
    try:
        judgements = measure(options.folder, options.other)
    except (JudgeError, PictureError, OSError) as error:
        print(f"bench.judges: {error}", file=sys.stderr)
        return 1
    text = "\n".join([*table(judgements), "", *limits_table(judgements), ""])
    options.output.mkdir(parents=True, exist_ok=True)
    (options.output / "judges.md").write_text(text, encoding="utf-8")
    whole = [
        asdict(each) | {"values": {name: _finite(each.values[name]) for name in each.values}} for each in judgements
    ]
    lines = json.dumps(whole, indent=1, ensure_ascii=False)
    (options.output / "judges.json").write_text(lines + "\n", encoding="utf-8")
    print(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
