"""Sources: one path or URL becomes one table of rows as the source has them.

dispatch.py     what kind of source it is, and who reads it
parts.py        the result, names of columns, rows that stream to Parquet
encodings.py    text of any encoding as UTF-8
dialect.py      delimiter, quote and header of a text table, told from its first lines
delimited.py    text tables
rectangular.py  JSON, Parquet, Arrow
folders.py      what a folder is, and several files as one table
classes.py      folders of pictures or sounds, one a class
idx.py          pairs of idx files
timeseries.py   .ts files
series.py       long rows as one row a series
archives.py     tar and zip
remote.py       http, https, s3
database.py     a query over SQLAlchemy
loader.py       the user's load.py
"""
