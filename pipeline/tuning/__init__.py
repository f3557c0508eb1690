"""Sweeps: an Optuna study whose trials go through the same `fit` as training, in worker processes.

`space` says what is searched, `study` keeps the trials, `worker` trains them, `sweep` lets workers run the study,
`results` is what came of it as plain data, and `report` and `terminal` show that.
"""
