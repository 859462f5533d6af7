"""The data repository: what an artifact changes there, as one commit. Does not judge."""
