"""A model package behind HTTP: one process takes requests and remembers answers, the package runs in processes of its own.

From the top: `running` starts and stops it all, `app` holds the routes.  `forms` reads bodies (`tables`, `columns`), `replies` writes
answers, `describing` and `page` tell of the model what `about` has read of its package.  `pool` shares rows out to the package's processes
(`process`), `champion` tells which package that is, `recording` gives the inference log its rows, `counting` tells Prometheus.
"""
