"""The runner's advice in the words of the module: the runner names variables and options that only `gt` has."""

from __future__ import annotations

WORDS = {
    "set HF_TOKEN to a token": "give with --hf-token a token",
    "HF_TOKEN may not read it": "the token of --hf-token may not read it",
    "or unset HF_ENDPOINT to pass a mirror by": "or leave out --hf-endpoint to pass a mirror by",
    "lists no file sizes; unset HF_ENDPOINT": "lists no file sizes; leave out --hf-endpoint",
    "check the network, HF_ENDPOINT and": "check the network, --hf-endpoint and",
    "check the network and HF_ENDPOINT": "check the network and --hf-endpoint",
    "or set HF_HOME to a folder on a larger disk": "or give the engine a larger disk",
    "of the cache, of HF_HOME and of the --models folder": "of the engine's cache volumes",
    "try later, or use --models": "try later, or name a mirror with --hf-endpoint",
    ", or put the file into inputs/ of the --models folder": "",
    "or put a checkout into the --models folder": "or give a checkout with --wan-code, --wan22-code or --ltx-code",
    " in the --models folder": ", as it was given,",
    "; --models names the folder that it lies in": "; the module takes no such folder, gt reproduce does",
}


def of_the_module(text: str) -> str:
    """The text with advice that can be followed on an engine."""
    for theirs, ours in WORDS.items():
        text = text.replace(theirs, ours)
    return text
