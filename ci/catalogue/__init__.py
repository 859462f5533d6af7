"""What a case is: its model, the YAML files and their mistakes, selection, pins. Nothing here plans or runs."""
