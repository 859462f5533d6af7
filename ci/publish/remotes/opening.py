"""The ways to a data repository."""

from __future__ import annotations

from contextlib import AbstractContextManager, closing
from typing import TYPE_CHECKING

from ...errors import PublishError, near
from .address import sound_branch, sound_token
from .base import READ, Author, Remote

if TYPE_CHECKING:
    from .reading import GitReader

GIT, GITHUB_API = "git", "github-api"
WAYS = (GIT, GITHUB_API)


def opened(
    url: str,
    way: str = GIT,
    branch: str = "",
    token: str = "",
    user: str = "",
    author: Author | None = None,
    base: str = "",
) -> AbstractContextManager[Remote]:
    """The data repository at an address; a branch that is not there begins at `base`.

    Raises PublishError for an address, a way, a branch or a token that is none.
    """
    branch, token = sound_branch(branch), sound_token(token)
    match way:
        case "git":
            from .git import GitRemote  # noqa: PLC0415  # a client takes longer to import than most commands run

            return closing(GitRemote(url, branch, token, user, author or Author(), base))
        case "github-api":
            from .github import GithubRemote  # noqa: PLC0415

            return closing(GithubRemote(url, branch, token, base))
    raise PublishError(f"no way is named {way!r}; {near(way, WAYS)}")


def reading(url: str, token: str = "", user: str = "") -> AbstractContextManager[GitReader]:
    """The data repository at an address, to be read. Raises PublishError or FetchError for an address that is none."""
    from .reading import GitReader  # noqa: PLC0415  # as above

    return closing(GitReader(url, sound_token(token, READ), user))
