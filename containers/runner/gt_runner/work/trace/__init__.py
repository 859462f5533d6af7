"""Keeps the tensors of a run, taken from outside: each source has a module that says where its stages are."""
