"""Other engines as GPU hosts: dispatch, the call to one, the relay of what it says."""
