"""A declarative experiment-tracking pipeline; this is its table of contents.

cli             the commands; `python -m pipeline <stage>`
params_file     params.yaml, every mistake at once       config      its sections, typed and frozen
stages/         one file a stage                         paths       the place of every artifact
data/           engine, sources, schema, cleaning, splitting, preprocessing, arrays
models/         encoders, heads, build, fit, device      training/   ensembles, cross-validation, the plan
tuning/         sweeps: space, study, workers, their page
evaluation/     metrics, intervals, baselines, figures   monitoring/ drift, alarms, decay, Evidently's reports
predict         raw rows to predictions                  packaging   the model package and its skew check
tracking        MLflow                                   fresh       the package in a process of its own
lineage         fingerprints, commit, environment        imports     which files a file needs
summary         the run in a few lines                   files       writing whole or not at all
"""
