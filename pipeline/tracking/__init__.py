"""MLflow: the only package that talks to it.  What a run holds stands in files first; the store is written from them."""
