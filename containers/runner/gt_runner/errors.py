"""What can go wrong in the runner, each with a message that tells the user what to do next."""

from __future__ import annotations


class RunnerError(Exception):
    """Base of the errors that the runner raises on purpose; the text is the reason in the manifest."""


class FetchError(RunnerError):
    """Weights, code or an input could not be had, or are not what was pinned."""


class AccessError(FetchError):
    """A model is closed to the user: no token, the wrong one, or a licence that was not accepted."""


class InputError(FetchError):
    """An input is not the image that its case names, which no other try mends."""


class VariantError(FetchError):
    """A repository's weights are there in other variants than the one that its case names."""


class SpaceError(FetchError):
    """The disk has no room for what is to be downloaded."""


class SourceError(RunnerError):
    """The implementation that a case names is missing, or cannot do what the case asks."""


class CommandError(RunnerError):
    """A serving engine's command failed; its own output is in the log."""


class NetworkUsedError(RunnerError):
    """A case tried to open a network socket after the fetch phase."""


def os_reason(error: OSError) -> str:
    """What the operating system says went wrong, without the path, which is of this machine only."""
    return error.strerror or str(error)
