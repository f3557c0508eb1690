"""Before any stage runs: params.yaml against the data and the machine, and what the run will take."""
