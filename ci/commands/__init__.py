"""The verbs of `gt` that act on an artifact that is there, one module each."""
