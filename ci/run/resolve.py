"""Pins what is open, on an engine: the hub is asked in the fetch image, and registries by the engine itself."""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping

import dagger
from dagger import dag

from ..catalogue.pin import case_files, filled, open_digest, open_revisions
from ..errors import PinError
from . import recipes, transfer
from .images import Images, with_hub

LIST = "/gt/repositories.json"


async def pinned(
    cases: dagger.Directory, images: Images, token: dagger.Secret | None, endpoint: str
) -> dagger.Directory:
    """The files that change, by their place in this repository. Raises PinError with all that cannot be resolved."""
    folder = await transfer.exported(cases, "cases")
    texts = {path.name: path.read_bytes().decode("utf-8") for path in case_files(folder)}
    spots = {name: open_revisions(text) for name, text in texts.items()}
    repos = sorted({spot.what for places in spots.values() for spot in places if spot.value is None})
    commits = await _newest(repos, (await images.image(recipes.FETCH)).container, token, endpoint) if repos else {}
    result = dag.directory()
    for name, text in texts.items():
        new = filled(text, spots[name], commits)
        result = result.with_new_file(f"cases/{name}", new) if new != text else result
    base = (recipes.CONTAINERS / "images.yaml").read_text(encoding="utf-8")
    base_spots = open_digest(base)
    digests = {spot.what: await _digest(spot.what) for spot in base_spots}
    return result.with_new_file("containers/images.yaml", filled(base, base_spots, digests)) if base_spots else result


async def _newest(
    repos: list[str], container: dagger.Container, token: dagger.Secret | None, endpoint: str
) -> Mapping[str, str]:
    container = container.with_env_variable("GT_NONCE", uuid.uuid4().hex)  # today's answer, not an earlier call's
    container = with_hub(container, token, endpoint).with_new_file(LIST, json.dumps(repos))
    answers = json.loads(await container.with_exec(["python", "-m", "gt_runner", "newest", LIST]).stdout())
    errors = [answer["error"] for answer in answers.values() if "error" in answer]
    if errors:
        raise PinError("\n".join(["nothing was pinned, since the hub does not answer for all:", *errors]))
    return {repo: answer["commit"] for repo, answer in answers.items()}


async def _digest(reference: str) -> str:
    try:
        address = await dag.container().from_(reference).image_ref()
    except dagger.QueryError as error:
        raise PinError(f"{reference}: {error}; check the reference and the network") from None
    return address.rpartition("@")[2]
