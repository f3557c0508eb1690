"""The commands, a file for each part of the table of contents that `pipeline --help` is."""
