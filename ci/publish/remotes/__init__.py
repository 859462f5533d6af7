"""The ways to a data repository: the git protocol and GitHub's API. Does not decide what is published."""
