"""Measures that a network learned: CLIP (what is shown) and LPIPS (what people see), where the weights are at hand."""

from __future__ import annotations

import importlib.util
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

from gt_pictures.reading import Picture

from ..errors import JudgeError

CLIP_MODEL = "openai/clip-vit-large-patch14"
LPIPS_WEIGHTS = "torchvision/checkpoints/alexnet-owt-7be5be79.pth"  # as torch.hub names it
MEASURES = {
    "clip": {
        "better": "higher",
        "unit": "-1..1",
        "how": f"cosine of the image embeddings of {CLIP_MODEL}, by transformers",
    },
    "lpips": {"better": "lower", "unit": "0 and up", "how": "LPIPS 0.1 on AlexNet, by torchmetrics"},
}

Measure = Callable[[Picture, Picture], float]


class Learned:
    """The measures that can be taken here, and for each other one why it cannot."""

    def __init__(self, models: Path | None) -> None:
        self.absent: dict[str, str] = {}
        self._measures: dict[str, Measure] = {}
        makers = {"clip": (CLIP_MODEL, _clip), "lpips": (LPIPS_WEIGHTS, _lpips)}
        for name, (place, make) in makers.items():
            why = _missing(models, place)
            if why:
                self.absent[name] = why
            else:
                self._measures[name] = _loaded(make, (models or Path()) / place)

    def measure(self, new: Picture, other: Picture) -> dict[str, float | None]:
        """Every measure that can be taken here. Raises JudgeError for a network that gives no number."""
        values: dict[str, float | None] = {name: take(new, other) for name, take in self._measures.items()}
        for name, value in values.items():
            if value is None or not math.isfinite(value):  # which would be worse than no bound
                raise JudgeError(f"{name} came to {value}; fetch the weights in --models again, or leave out --models")
        return values


def _missing(models: Path | None, place: str) -> str | None:
    if models is None:
        return "no folder of models was given (--models)"
    if importlib.util.find_spec("torch") is None:
        return "torch is not installed here"
    return None if (models / place).exists() else f"the folder of models holds no {place}"


def _loaded(make: Callable[[Path], Measure], place: Path) -> Measure:
    try:
        return make(place)
    except Exception as error:  # noqa: BLE001  # what a loader raises of files that are not what they should be
        line = (str(error).splitlines() or [type(error).__name__])[0]
        raise JudgeError(f"{place} cannot be loaded: {line}; fetch its files again, or leave out --models") from None


def _clip(folder: Path) -> Measure:
    import torch  # noqa: PLC0415  # optional, like the next one
    from transformers import CLIPImageProcessor, CLIPModel  # noqa: PLC0415

    processor = CLIPImageProcessor.from_pretrained(folder, local_files_only=True)
    model = CLIPModel.from_pretrained(folder, local_files_only=True).eval()

    def embedding(picture: Picture) -> Any:
        with torch.inference_mode():
            output = model.get_image_features(**processor(images=picture.opaque, return_tensors="pt"))
        vector = getattr(output, "pooler_output", output)[0]  # transformers 5 wraps what 4 returned
        return vector / vector.norm()

    return lambda new, other: float(embedding(new) @ embedding(other))


def _lpips(weights: Path) -> Measure:
    import torch  # noqa: PLC0415
    from torchmetrics.image.lpip import LearnedPerceptualImagePatchSimilarity  # noqa: PLC0415

    torch.hub.set_dir(str(weights.parent.parent))
    network = LearnedPerceptualImagePatchSimilarity(net_type="alex", normalize=True).eval()

    def tensor(picture: Picture) -> Any:
        return torch.from_numpy(picture.rgb.copy()).permute(2, 0, 1)[None].float() / 255

    def take(new: Picture, other: Picture) -> float:
        with torch.inference_mode():
            return float(network(tensor(new), tensor(other)))

    return take
