"""The interface of the Dagger module, as the SDK hands it to the engine."""

from __future__ import annotations

from ci.main import DiffusionGt

# Options of `dagger call` itself that our documents and pipelines use.
CLI = {"-m", "-o", "--output", "--help"}


def functions() -> dict[str, dict[str, object]]:
    """The options of each function with their types; names as the CLI writes them."""
    known = DiffusionGt.__dagger_module__.get_object("DiffusionGt").functions  # type: ignore[attr-defined]
    return {
        _cli(name): {f"--{_cli(each.name)}": each.resolved_type for each in function.parameters.values()}
        for name, function in known.items()
    }


def _cli(name: str) -> str:
    return name.replace("_", "-")
