"""Where jobs run: this machine, the engine, other engines. Does not judge the results."""
