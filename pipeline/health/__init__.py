"""What a machine, an environment and a folder need for the pipeline to run, looked at without changing anything."""
