"""Jobs, hosts, the CI matrix and the keys of CI runs. Decides what runs where; runs nothing."""
