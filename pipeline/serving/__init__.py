"""A model package behind HTTP: one process takes requests and remembers answers, the package runs in processes of its own.

`app` holds the routes, `forms` reads bodies, `replies` writes answers, `pool` shares rows out to the package's processes,
`champion` tells which package that is, `recording` gives the inference log its rows, `running` starts and stops it all.
"""
