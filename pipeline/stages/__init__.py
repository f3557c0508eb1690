"""The stages, one file each: read, call, write."""
