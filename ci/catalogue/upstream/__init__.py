"""What an upstream test suite defines, against our case files. Reads a checkout, runs nothing of it."""
