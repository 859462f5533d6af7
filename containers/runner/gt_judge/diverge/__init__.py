"""Where two runs first differ: their traces, compared stage by stage."""
