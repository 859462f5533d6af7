"""Builds the runner images on a Dagger engine: base, torch, the source's locked environment, the runner's code."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import dagger
from dagger import dag

from ..catalogue.native import ServingEngine
from ..errors import GtError
from . import recipes
from .dagger_interface import commit_of

BUILD = "/opt/build"
RUNNER = "/opt/gt"
ENGINE = "/gt/engine"  # where the checkout of a serving engine lies
VENV = "/opt/venv"

BUILDING = {
    "UV_CACHE_DIR": "/root/.cache/uv",
    "UV_COMPILE_BYTECODE": "1",  # a cold import of torch and diffusers costs 17 s
    "UV_LINK_MODE": "copy",  # the cache is another file system
    "UV_PROJECT_ENVIRONMENT": VENV,
    "UV_PYTHON_DOWNLOADS": "never",
}
RUNNING = {
    "HF_HOME": recipes.WEIGHTS,
    "NVIDIA_DRIVER_CAPABILITIES": "compute,utility",
    "PATH": f"{VENV}/bin:/usr/local/bin:/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin",
    "PYTHONPATH": RUNNER,
    "PYTHONUNBUFFERED": "1",
}


@dataclass(frozen=True)
class Checkout:
    """The checkout of a serving engine."""

    folder: dagger.Directory
    identity: str  # `commit:…`, or `sha256:…` of the content where the caller gave a folder
    ref: str | None = None  # of its repository, where it was fetched from there

    @property
    def commit(self) -> str | None:
        """The commit, where it is known."""
        return self.identity.removeprefix("commit:") if self.identity.startswith("commit:") else None


@dataclass(frozen=True)
class Image:
    """A runner image, and what the manifest says of it."""

    container: dagger.Container
    record: dict[str, str]


class Images:
    """The images of one call."""

    def __init__(self, base: str, published: Mapping[str, str] = MappingProxyType({})) -> None:
        self._data = recipes.data()
        self._base = base or self._data.address
        self._published = published
        self._folder = dag.current_module().source().directory("containers")

    async def image(self, name: str) -> Image:
        """The image of a source, or of the fetch phase; pulled if it was given by digest, else built."""
        reference = self._published.get(name)
        if reference is not None:
            container = _running(dag.container().from_(reference))
            return Image(container, {"reference": reference, "digest": reference.rpartition("@")[2]})
        recipe = recipes.recipe(name, await self.reference())
        container = self._built(name, dag.container().from_(self._base))
        return Image(container, {"reference": f"diffusion-gt/{name}", "recipe": recipe.digest})

    async def of_engine(self, source: str, engine: ServingEngine, checkout: Checkout) -> Image:
        """The image that makes an engine's native cases, with its checkout in it.

        It is the engine's own, if that was given by digest, else the base image with the engine installed.
        """
        published = self._published.get(source)
        reference = published or await self.reference()
        recipe = recipes.engine_recipe(reference, engine, checkout.identity, pulled=published is not None)
        environment = {name: value.format_map({"engine": ENGINE}) for name, value in engine.environment.items()}
        container = with_variables(dag.container().from_(published or self._base).with_user("root"), environment)
        path = await container.env_variable("PYTHONPATH")  # now: asked for later, it would build the image
        container = container.with_directory(ENGINE, checkout.folder)
        if published is None:
            container = self._with_engine(container, engine)
        container = container.with_env_variable("PIP_BREAK_SYSTEM_PACKAGES", "1")  # its own Python may be the system's
        container = container.with_exec(["python", "-m", "pip", "install", "--no-cache-dir", *recipes.TAKING])
        environment = {name: value for name, value in RUNNING.items() if name != "PATH"}  # which is its image's
        environment["PYTHONPATH"] = ":".join(filter(None, [RUNNER, path]))
        container = self._with_packages(with_variables(container, environment), recipes.GENERATING)
        name = published or f"diffusion-gt/{source}"
        return Image(container.with_workdir("/gt"), {"reference": name, "recipe": recipe.digest})

    def _with_engine(self, container: dagger.Container, engine: ServingEngine) -> dagger.Container:
        container = with_uv(container, self._data.uv).with_exec(["uv", "venv", "--seed", VENV])
        container = container.with_env_variable("VIRTUAL_ENV", VENV)
        container = container.with_env_variable("PATH", f"{VENV}/bin:${{PATH}}", expand=True)
        for command in engine.install:
            container = container.with_exec([part.format_map({"engine": ENGINE}) for part in command])
        return container.without_mount(BUILDING["UV_CACHE_DIR"])

    async def checkout(self, engine: ServingEngine, directory: dagger.Directory | None, ref: str = "") -> Checkout:
        """What the caller gave, else the engine's repository at a ref, its own if none is named. Raises GtError."""
        if directory is not None:
            if ref:
                raise GtError("an engine's checkout is given, and --engine-ref names another; leave one out")
            folder = directory.without_directory(".git")  # the images have no git: its content is what it is
            fetcher = (await self.image(recipes.FETCH)).container.with_mounted_directory(ENGINE, folder)
            answer = await fetcher.with_exec(["python", "-m", "gt_runner", "checkout", ENGINE]).stdout()
            return Checkout(folder, json.loads(answer))
        address, revision = f"https://github.com/{engine.repo}", ref or engine.ref
        source = dag.git(address).ref(revision)
        try:
            return Checkout(source.tree(), f"commit:{await commit_of(source)}", revision)
        except dagger.QueryError as error:
            raise GtError(
                f"{address} at {revision} cannot be had: {error}; check --engine-ref, or give a checkout with --engine"
            ) from None

    async def reference(self) -> str:
        """The base image by the digest that it is resolved to here."""
        return await dag.container().from_(self._base).image_ref()

    def base(self) -> dagger.Container:
        """The base image alone: to look for GPUs, or to call other engines from."""
        return _running(dag.container().from_(self._base))

    def _built(self, name: str, base: dagger.Container) -> dagger.Container:
        container = with_uv(base, self._data.uv)
        for tier in recipes.tiers(name):
            container = self._installed(container, tier)
        container = container.without_mount(BUILDING["UV_CACHE_DIR"])
        container = self._with_packages(container, recipes.packages(name))
        container = container.with_file(f"{RUNNER}/{recipes.TRACER}", self._folder.file(f"runner/{recipes.TRACER}"))
        return _running(container).with_exec(["python", "-m", "compileall", "-q", RUNNER])

    def _with_packages(self, container: dagger.Container, names: Iterable[str]) -> dagger.Container:
        for name in names:
            container = container.with_directory(f"{RUNNER}/{name}", self._folder.directory(f"runner/{name}"))
        return container

    def _installed(self, container: dagger.Container, tier: str) -> dagger.Container:
        """One layer: it changes with its lock file alone, so a change of code installs nothing again."""
        for file in (f"{tier}/pyproject.toml", f"{tier}/uv.lock", "runner/pyproject.toml"):
            container = container.with_file(f"{BUILD}/{file}", self._folder.file(file))
        return container.with_exec(
            ["uv", "sync", "--locked", "--no-install-package", "gt-runner", "--project", f"{BUILD}/{tier}"]
        )


def with_uv(base: dagger.Container, version: str) -> dagger.Container:
    """The container with uv, its settings and its cache."""
    container = base.with_exec(["pip", "install", "--no-cache-dir", "--root-user-action=ignore", f"uv=={version}"])
    return with_variables(container, BUILDING).with_mounted_cache(
        BUILDING["UV_CACHE_DIR"], dag.cache_volume("diffusion-gt-uv")
    )


def _running(container: dagger.Container) -> dagger.Container:
    return with_variables(container, RUNNING).with_default_terminal_cmd(["bash"]).with_workdir("/gt")


def with_variables(container: dagger.Container, variables: Mapping[str, str]) -> dagger.Container:
    """The container with these variables of its environment."""
    for name, value in variables.items():
        container = container.with_env_variable(name, value)
    return container


def with_hub(container: dagger.Container, token: dagger.Secret | None, endpoint: str) -> dagger.Container:
    """The container with the token of the model hub, and the address of a mirror of it."""
    if endpoint:
        container = container.with_env_variable("HF_ENDPOINT", endpoint)
    return container if token is None else container.with_secret_variable("HF_TOKEN", token)


def mounted(container: dagger.Container, volumes: Mapping[str, Any]) -> dagger.Container:
    """The container with cache volumes at these paths, shared by all execs of all calls."""
    for path, volume in volumes.items():
        container = container.with_mounted_cache(path, volume, sharing=dagger.CacheSharingMode.SHARED)
    return container
