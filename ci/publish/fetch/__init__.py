"""Brings published GT to where tests read it: which files, from which commit, and the lock file that says so."""
