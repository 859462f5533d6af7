"""Trains the models of the smoke cases: `python -m training -o OUT`.

OUT gets `weights.safetensors` (32 bits, of all components) and `figures.json`, once the autoencoder is trained and
every minute from then on, whatever stops it; at the end also `pictures.png`, of held-out prompts.
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import diffusers
import torch
import transformers
from PIL import Image
from safetensors.torch import save_file
from torch import Tensor

from . import models
from .pictures import Pictures, Settings

SEED = 7
STEPS, GUIDANCE = 8, 2.0  # of sampling, as in the smoke cases


class Output:
    """What the training leaves behind, written again whenever there is more."""

    def __init__(self, folder: Path, parts: dict[str, Any]) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder, self._parts = folder, parts
        self.figures: dict[str, Any] = {}

    def save(self, **more: Any) -> None:
        """Write weights, configurations and figures."""
        self.figures |= more
        tensors = {
            f"{name}.{key}": value.detach().cpu().contiguous()
            for name, model in self._parts.items()
            for key, value in model.named_parameters()
        }
        vae = {key: self._parts["vae"].config[key] for key in ("scaling_factor", "shift_factor")}
        save_file(tensors, self._folder / "weights.safetensors")
        (self._folder / "figures.json").write_text(json.dumps({"vae": vae, **self.figures}, indent=1) + "\n")

    def show(self, pictures: Tensor, columns: int) -> None:
        """Write pictures, (count, 3, height, width), as one."""
        count, _, height, width = pictures.shape
        sheet = pictures.reshape(count // columns, columns, 3, height, width).permute(0, 3, 1, 4, 2)
        flat = sheet.reshape(count // columns * height, columns * width, 3)
        Image.fromarray((flat * 255).round().byte().cpu().numpy()).save(self._folder / "pictures.png")


def options() -> argparse.Namespace:
    """What the command line says."""
    parser = argparse.ArgumentParser(prog="python -m training", description="Trains the models of the smoke cases.")
    parser.add_argument("--seconds", type=float, default=1700, help="longest time in all, but for the last measurement")
    parser.add_argument("--steps", type=int, default=38_000, help="of the transformer")
    parser.add_argument("--autoencoder-seconds", type=float, default=400, help="longest time for the autoencoder")
    parser.add_argument("--autoencoder-steps", type=int, default=6_000)
    parser.add_argument("--autoencoder", type=Path, help="take the autoencoder that an earlier training left here")
    parser.add_argument("--measured", type=int, default=512, help="held-out prompts that are drawn and measured")
    for name, value in asdict(Settings()).items():
        if isinstance(value, bool):
            parser.add_argument(f"--{name}", action="store_true")
        else:
            parser.add_argument(f"--{name}", type=type(value), default=value)
    parser.add_argument("-o", "--out", type=Path, required=True)
    return parser.parse_args()


def main() -> None:
    """Train, measure, save."""
    arguments, started = options(), time.monotonic()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    torch.manual_seed(SEED)
    torch.backends.cudnn.benchmark = True
    torch.set_float32_matmul_precision("high")  # TF32; in bfloat16 the backward pass of attention failed here
    parts = models.untrained()
    settings = Settings(**{key: vars(arguments)[key] for key in asdict(Settings())})
    pictures, output = Pictures(parts, device, settings), Output(arguments.out, parts)
    output.figures = {
        "device": torch.cuda.get_device_name() if device.type == "cuda" else "cpu",
        "versions": {each.__name__: each.__version__ for each in (torch, diffusers, transformers)},
        "seed": SEED,
        "settings": asdict(settings),
        "parameters": {key: sum(each.numel() for each in model.parameters()) for key, model in parts.items()},
    }
    if arguments.autoencoder:
        models.take_over(arguments.autoencoder, {"vae": parts["vae"]})
    else:
        pictures.train_autoencoder(arguments.autoencoder_steps, arguments.autoencoder_seconds)
    output.save(autoencoder=pictures.through_autoencoder(arguments.measured))
    print(json.dumps(output.figures), flush=True)
    progress: list[Any] = []

    def report() -> None:
        progress.append({"seconds": round(time.monotonic() - started), **pictures.measure(128, STEPS)})
        print(json.dumps(progress[-1]), flush=True)
        output.save(progress=progress)

    pictures.train_transformer(arguments.steps, arguments.seconds - (time.monotonic() - started), report)
    output.save(trained=round(time.monotonic() - started, 1))
    for steps, scale in ((STEPS, 1.0), (2 * STEPS, 1.0), (STEPS, GUIDANCE)):
        shares = pictures.measure(arguments.measured, steps, scale)
        print(f"{steps} steps, guidance {scale:g}: {json.dumps(shares)}", flush=True)
        output.save(**{f"{steps} steps, guidance {scale:g}": shares})
    sheet, sentences = pictures.examples(min(16, arguments.measured), STEPS, GUIDANCE)
    output.show(sheet, len(sentences) // 2)
    output.save(asked=sentences, whole=round(time.monotonic() - started, 1))


if __name__ == "__main__":
    main()
