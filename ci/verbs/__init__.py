"""What can be asked: each verb once, as a class whose fields are its options. `to_typer` and `to_dagger` hang them up.

A verb's docstring is its help in both doors. What a verb does in detail lives in the rooms below.
"""
