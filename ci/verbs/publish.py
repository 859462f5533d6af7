"""Verbs that publish to the data repository."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from typing_extensions import Doc

from ..artifact.replay_report import Measure
from ..catalogue import files
from ..errors import GtError
from ..judge import on_machine
from ..publish.batch import batch
from ..publish.changes import Order
from ..publish.propose import Base, branch_of, propose
from ..publish.push import Gate, PublishResult, check, lines, look, run
from ..publish.remotes.base import Author, Remote
from ..publish.remotes.opening import opened
from ..publish.retry import Patience
from ..publish.source import CiRun, Source, branch_for
from .answers import Answer, say
from .choices import PublishWay
from .options import GT, OURS, Artifact, Cases, OneOf, Ref, Secret, TargetDir, Typed

To = Annotated[str, Doc("The data repository: a git server's address; with gt also a path.")]
Token = Annotated[Secret | None, Doc("Token that may write there."), Typed(variable="GT_PUBLISH_TOKEN")]
User = Annotated[str, Doc("User name for the token, where a server looks at it.")]
Via = Annotated[str, Doc("The way to the data repository: git, or github-api."), OneOf(PublishWay)]


@dataclass(frozen=True, kw_only=True)
class PublishAccess:
    """Say whether the token may write to the data repository: to be asked before anything is generated.

    `gt` reads the token from the variable GT_PUBLISH_TOKEN.
    """

    to: To
    token: Token = None
    via: Via = PublishWay.GIT.value
    user: User = ""

    def run(self) -> Answer:
        """One line. Raises PublishError where it may not."""
        with self.remote() as remote:
            self.patience.keep_trying(remote.check_access)
        return Answer(lines=[f"{self.to} may be written to"])

    @property
    def patience(self) -> Patience:
        """How often a server is asked again. The last error names the command that goes on."""
        return Patience(command=self.command, say=say)

    @property
    def command(self) -> str:
        """The command that was typed."""
        return shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]])

    @contextmanager
    def remote(self, branch: str = "", base: str = "") -> Iterator[Remote]:
        """The data repository, as long as it is needed; a branch that is not there begins at `base`."""
        token = "" if self.token is None else self.token.text
        with opened(self.to, self.via, branch, token, self.user, _author(), base) as remote:
            yield remote


@dataclass(frozen=True, kw_only=True)
class Publish(PublishAccess):
    """Publish an artifact to the data repository: the quality gate, then one commit or none.

    Prints the commit that holds the files. `gt` reads the token from the variable GT_PUBLISH_TOKEN, and exits with 0
    when the server holds the files, 1 when the gate refuses them, 2 when nothing was published for another reason.
    """

    artifact: Artifact = GT
    publish_target_dir: TargetDir = ""
    bare: Annotated[
        bool, Doc("Publish into the directory itself, not into its folder for the GPU kind that ran each case.")
    ] = False
    allow_hidden: Annotated[bool, Doc("Publish also what the folder of a GPU kind hides from readers.")] = False
    branch: Annotated[
        str,
        Doc("Made if it is not there; isolated: gt/REF, where GT goes that was made from a ref other than main."),
        Typed(default="the default branch, or gt/REF"),
    ] = ""
    accept: Annotated[tuple[str, ...], Doc("Cases whose published images are meant to change.")] = ()
    reason: Annotated[str, Doc("Why; goes into the commit and the manifest.")] = ""
    prune: Annotated[bool, Doc("Remove published cases that the case files do not have.")] = False
    cases: Cases = OURS
    ci_run: Annotated[str, Doc("The CI run, for the commit's message.")] = ""
    ref: Ref = ""
    sha: Annotated[str, Doc("Commit of the CI run, for the commit's message."), Typed(variable="GITHUB_SHA")] = ""
    triggered_by: Annotated[
        str, Doc("Who started the CI run, for the commit's message."), Typed(variable="GITHUB_TRIGGERING_ACTOR")
    ] = ""
    check_only: Annotated[bool, Doc("Run the quality gate against what is published, and stop.")] = False
    pull_request: Annotated[
        bool, Doc("Push a branch of its own, and open a pull request into the branch (github-api), or print its text.")
    ] = False

    def publish(self, artifact: Path, cases: Path, gate: Gate, compare: Measure) -> Answer:
        """Publish what lies in `artifact`; `gate` raises GateError with everything that speaks against it."""
        if self.accept and not self.reason.strip():
            raise GtError("--accept needs --reason TEXT: why the published image changes")
        parts = batch(artifact, self.publish_target_dir, bare=self.bare)
        names = set(files.load(cases).of(parts.manifest.run.selection.mode)) if self.prune else None
        reasons = dict.fromkeys(self.accept, self.reason)
        ci_run = CiRun(self.ci_run or _actions_run(), self.ref, self.sha, self.triggered_by)
        order = Order(parts, reasons, names, ci_run, self.allow_hidden)
        with self.remote(self._branch(order.source)) as remote:
            if self.check_only:
                check(artifact, order, remote, gate, self.patience)
                return Answer(lines=[*parts.omissions, "the gate lets the artifact pass; nothing was published"])
            if self.pull_request:
                return self._propose(artifact, order, remote, gate, compare)
            result = run(artifact, order, remote, gate, self.patience)
        return Answer(result.commit, [*lines(result, self.to), *parts.omissions])

    def _branch(self, source: Source) -> str:
        """The branch to publish to; of a pull request, the one to merge into, where a reviewer has the last word."""
        if self.pull_request and not self.branch:
            return ""
        branch = branch_for(self.branch, source)
        if branch and not self.branch:
            say(f"this GT was made from {source.branch}, so it goes to branch {branch}; --branch names another")
        return branch

    def _propose(self, artifact: Path, order: Order, remote: Remote, gate: Gate, compare: Measure) -> Answer:
        """The commit, and the pull request: its address, or its text."""
        base = Base(self.to, remote, look(order, remote, self.patience))
        omissions = order.batch.omissions
        if base.plan.head.new:
            raise GtError(f"there is no branch {remote.branch} in {self.to} to open a pull request into; make it first")
        if not base.plan.files:
            head = PublishResult(base.plan.head.commit or "", remote.branch, base.plan, news=False)
            return Answer(head.commit, [*lines(head, self.to), *omissions])
        with self.remote(branch_of(order, remote.branch), remote.branch) as branch:
            result = run(artifact, order, branch, gate, self.patience)
            proposal = propose(artifact, order, base, branch, result.commit, compare, self.patience)
        if proposal.address is None:
            text = f"\n# {proposal.title}\n\n{proposal.text}"
            advice = f"open a pull request of branch {branch.branch} into {remote.branch} with the text above"
        else:
            text = proposal.address
            advice = f"the pull request into {remote.branch} is {proposal.address}"
        return Answer(f"{result.commit}\n{text}", [*lines(result, self.to), advice, *omissions])


class PublishOnMachine(Publish):
    """With the gate as a process."""

    def run(self) -> Answer:
        """The commit."""
        return self.publish(self.artifact.path, self.cases.path, on_machine.gate, on_machine.against)


def _author() -> Author:
    """The author that git's own variables name, else this tool."""
    tool = Author()
    name, email = os.environ.get("GIT_AUTHOR_NAME"), os.environ.get("GIT_AUTHOR_EMAIL")
    return Author(name or tool.name, email or tool.email)


def _actions_run() -> str:
    parts = [os.environ.get(f"GITHUB_{part}", "") for part in ("SERVER_URL", "REPOSITORY", "RUN_ID")]
    return "{}/{}/actions/runs/{}".format(*parts) if all(parts) else ""
