"""`gt publish`."""

from __future__ import annotations

import os
import shlex
import sys
from pathlib import Path
from typing import Annotated

import stamina
import typer

from ..catalogue import files
from ..errors import GtError
from ..judge.on_machine import gate
from ..publish.batch import batch
from ..publish.changes import Order
from ..publish.push import lines, run
from ..publish.remotes.base import Author
from ..publish.remotes.opening import GIT, opened
from ..publish.retry import Patience
from .options import GT, OURS, Artifact, CasesDir, Ref, TargetDir, say

TOKEN = "GT_PUBLISH_TOKEN"  # noqa: S105  # the name of the variable


def publish(
    to: Annotated[str, typer.Option(help="The data repository: a git server's address, or a path.")] = "",
    artifact: Artifact = GT,
    publish_target_dir: TargetDir = "",
    per_platform: Annotated[
        bool, typer.Option("--per-platform", help="Publish below it, in a folder for the GPU kind that ran each case.")
    ] = False,
    branch: Annotated[str, typer.Option(help="Made if it is not there.", show_default="the default branch")] = "",
    accept: Annotated[list[str], typer.Option(help="A case whose published image is meant to change.")] = [],  # noqa: B006
    reason: Annotated[str, typer.Option(help="Why; stands in the commit and in the manifest.")] = "",
    prune: Annotated[bool, typer.Option("--prune", help="Remove published cases that --cases does not have.")] = False,
    cases: CasesDir = OURS,
    via: Annotated[str, typer.Option(help="git, or github-api.")] = GIT,
    user: Annotated[str, typer.Option(help="User name for the token, where a server looks at it.")] = "",
    check_only: Annotated[bool, typer.Option("--check-only", help="Run the quality gate, and stop.")] = False,
    check_access: Annotated[
        bool, typer.Option("--check-access", help="Say whether the token may write, and stop; needs no artifact.")
    ] = False,
    ci_run: Annotated[str, typer.Option("--run", help="The CI run, for the commit's message.")] = "",
    ref: Ref = "",
) -> None:
    """Publish an artifact to the data repository: the quality gate, then one commit or none.

    The token is read from the variable GT_PUBLISH_TOKEN. Prints the commit that holds the files. Exits with 0 when the
    server holds them, 1 when the gate refuses them, 2 when nothing was published for another reason.
    """
    if check_only and not to:
        gate(artifact, None)
        say("the gate has nothing against the artifact")
        return
    if not to:
        raise GtError("name the data repository with --to")
    if accept and not reason.strip():
        raise GtError("--accept needs --reason TEXT: why the published image changes")
    stamina.instrumentation.set_on_retry_hooks([_trying_again])
    patience = Patience(resume=_command())
    with opened(to, via, branch, os.environ.get(TOKEN, ""), user, _author()) as remote:
        if check_access:
            patience.keep_trying(remote.check_access)
            say(f"{to} may be written to")
            return
        found = batch(artifact, publish_target_dir, per_platform=per_platform)
        for line in found.left_out:
            say(line)
        known = set(files.load(cases).of(found.manifest.run.selection.mode)) if prune else None
        order = Order(found, dict.fromkeys(accept, reason), known, ci_run or _actions_run(), ref)
        published = run(artifact, order, remote, gate, patience=patience, check_only=check_only)
    if published is None:
        say("the gate has nothing against the artifact; nothing was published")
        return
    for line in lines(published, to):
        say(line)
    typer.echo(published.commit)


def _author() -> Author:
    """Whom git's own variables name, else us."""
    ours = Author()
    name, email = os.environ.get("GIT_AUTHOR_NAME"), os.environ.get("GIT_AUTHOR_EMAIL")
    return Author(name or ours.name, email or ours.email)


def _actions_run() -> str:
    named = [os.environ.get(f"GITHUB_{part}", "") for part in ("SERVER_URL", "REPOSITORY", "RUN_ID")]
    return "{}/{}/actions/runs/{}".format(*named) if all(named) else ""


def _command() -> str:
    """What was typed; the token is no part of it."""
    return shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]])


def _trying_again(details: stamina.instrumentation.RetryDetails) -> None:
    say(f"{details.caused_by}; trying again in {details.wait_for:.1f} s")
