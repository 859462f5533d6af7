"""What can go wrong in the judge, each with a message that tells the user what to do next."""


class JudgeError(Exception):
    """The base of every error that the judge raises on purpose; its command line prints it and ends with status 2."""
