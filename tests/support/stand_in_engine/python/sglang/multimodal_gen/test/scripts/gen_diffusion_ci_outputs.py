"""Stands in for the script of sgl-project/sglang: its options, and images that are drawn instead of generated.

The first word of a case's id says what it does.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

from PIL import Image, ImageDraw

SUITES = ("1-gpu", "2-gpu", "1-gpu-b200")


def main() -> None:
    """Make the cases that are asked for."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--suite", choices=SUITES, required=True)
    parser.add_argument("--partition-id", type=int)
    parser.add_argument("--total-partitions", type=int)
    parser.add_argument("--out-dir", required=True)
    parser.add_argument("--continue-on-error", action="store_true")
    parser.add_argument("--case-ids", nargs="*")
    parser.add_argument("--partition-plan-json")
    arguments = parser.parse_args()
    for case in arguments.case_ids:
        with socket.create_server(("127.0.0.1", 0)):  # a server of its own, as the real one has
            make(case, 2 if arguments.suite == "2-gpu" else 1, Path(arguments.out_dir))


def make(case: str, gpus: int, out: Path) -> None:
    """One case."""
    does = case.partition("_")[0]
    seen = [f"{name}={os.environ.get(name)}" for name in ("HF_TOKEN", "HF_HUB_OFFLINE", "SGLANG_IS_IN_CI")]
    print(case, Path.cwd().name, *seen)  # noqa: T201  # for the log
    if does == "fail":
        sys.exit(f"{case} is broken on purpose")
    if does in ("hang", "leave"):  # a server that is out of the process group, as engines start theirs
        away = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=True)
        Path(os.environ["STAND_IN_LEFT"]).write_text(str(away.pid))
    if does == "hang":
        time.sleep(600)
    if case.endswith("t2v"):
        frames = ("0", "mid", "last")[1 if does == "incomplete" else 0 :]
        for frame in frames:
            draw(f"{case} {frame}").save(out / f"{case}_{gpus}gpu_frame_{frame}.png")
    elif does == "damaged":
        (out / f"{case}_{gpus}gpu.jpg").write_bytes(b"\xff\xd8\xff\xe0 no image")
    elif does == "disguised":
        draw(case).save(out / f"{case}_{gpus}gpu.jpg", format="PNG")
    elif does != "nothing":
        draw(case).save(out / f"{case}_{gpus}gpu.jpg", quality=91)
    (out / f"{case}_{gpus}gpu_audio.wav").write_bytes(b"what is no image stays behind")


def draw(text: str) -> Image.Image:
    """A picture that the text decides."""
    digest = hashlib.sha256(text.encode()).digest()
    image = Image.linear_gradient("L").resize((192, 128)).convert("RGB")
    pen = ImageDraw.Draw(image)
    for number in range(0, 30, 5):
        x, y, red, green, blue = digest[number : number + 5]
        pen.ellipse((x % 150, y % 90, x % 150 + 40, y % 90 + 36), fill=(red, green, blue))
    return image


if __name__ == "__main__":
    main()
