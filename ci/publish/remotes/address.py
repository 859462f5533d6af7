"""What a caller types for a data repository: its address, a token, a branch. Refused before anything is asked."""

from __future__ import annotations

import re
from urllib.parse import SplitResult, urlsplit

from ...errors import PublishError
from .base import WRITE, Right

SCHEMES = ("https", "http", "ssh", "git", "file")
_FORM = f"it begins with {', '.join(SCHEMES)} or is a path"
_LONGEST = 250  # bytes of a branch's name: a server keeps it as a file, and writes NAME.lock first, of 255 at most


def is_path(url: str) -> bool:
    """Whether an address is a path of this machine: it has no scheme, and no host before a colon."""
    return "://" not in url and ":" not in url.split("/", maxsplit=1)[0]


def parts_of_url(url: str, right: Right = WRITE) -> SplitResult:
    """The parts of an address that is no path. Raises PublishError for one that is none, or that holds a secret.

    What may hold a secret is not repeated.
    """
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:  # its words may be a part of the address
        raise PublishError(f"the address is none of a git server: its host or port cannot be read; {_FORM}") from None
    if parts.password is not None or (parts.username is not None and parts.scheme in ("http", "https")):
        raise PublishError(f"the address holds a name or password; leave it out, and set {right.variable}")
    if "://" in url:
        host = parts.hostname or ""
        is_server = parts.scheme in SCHEMES and bool(host or parts.scheme == "file")
    else:  # [user@]host:path
        before, _, path = url.partition(":")
        host = before.rpartition("@")[2]
        is_server = bool(host and path) and host not in SCHEMES
    if not is_server or not url.isprintable() or re.search(r"[\s%]", host) or host.startswith("-") or port == 0:
        raise PublishError(f"{url} is no address of a git server; {_FORM}")
    return parts


def sound_token(text: str, right: Right = WRITE) -> str:
    """A token without the white space around it, such as the end of a file's line.

    Raises PublishError for what cannot stand in a header: a client's own message about it would repeat the token.
    """
    token = text.strip()
    if not token.isascii() or not token.isprintable():
        raise PublishError(f"{right.variable} holds characters that no token has; set it to the token alone")
    return token


def sound_branch(name: str) -> str:
    """The name of a branch, also where it is written in full; none is the server's default branch.

    Raises PublishError for one that git does not take.
    """
    if not name:
        return name
    from dulwich.refs import Ref, check_ref_format  # noqa: PLC0415  # longer to import than most commands run

    branch = name.removeprefix("refs/heads/")
    # What `git check-ref-format --branch` refuses besides; a name below refs/ would be one of refs/heads/refs/.
    is_special = branch == "HEAD" or branch.startswith(("-", "refs/")) or not branch.isprintable()
    if is_special or not check_ref_format(Ref(f"refs/heads/{branch}".encode())):
        raise PublishError(f"{name!r} is no name of a branch that git takes; name another one with --branch")
    if len(branch.encode()) > _LONGEST:
        raise PublishError(
            f"the name of branch {branch[:20]}… has {len(branch.encode())} bytes, and git servers take {_LONGEST} at "
            "most; name another one with --branch"
        )
    return branch
