"""What can go wrong in the runner, each with a message that tells the user what to do next."""


class RunnerError(Exception):
    """The base of every error that the runner raises on purpose; its text is the reason in the manifest."""


class FetchError(RunnerError):
    """Weights, code or an input could not be had, or are not what was pinned."""


class AccessError(FetchError):
    """A model is closed to the user: no token, the wrong one, or a licence that was not accepted."""


class InputError(FetchError):
    """An input is not the image that its case names, which no other try mends."""


class SpaceError(FetchError):
    """The disk has no room for what is to be downloaded."""


class SourceError(RunnerError):
    """The implementation that a case names is missing, or cannot do what the case asks."""


class CommandError(RunnerError):
    """An engine's command did not do its work; what it said itself is in the log."""


class NetworkUsedError(RunnerError):
    """A case tried to open a network socket after the fetch phase."""
