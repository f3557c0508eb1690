"""Queries whose repeated parts are computed once give the same result."""

from __future__ import annotations

import duckdb
import pytest

from pipeline.data.staging import staged


def rows(sql):
    connection = duckdb.connect()
    connection.execute("""CREATE TABLE rows AS SELECT * FROM (VALUES ('1', 2.0), (' 3 ', NULL), ('x', 0.0), (NULL, 4.5)) AS t("a b", y)""")
    return connection.execute(sql).fetchall(), [(column[0], column[1]) for column in connection.description]


WORD = """TRIM(LOWER("t0"."a b"))"""
NUMBER = f"TRY_CAST({WORD} AS DOUBLE)"


@pytest.mark.parametrize(
    ("sql", "once"),
    [
        (f'SELECT CASE WHEN ISFINITE({NUMBER}) THEN {NUMBER} ELSE NULL END AS "a b" FROM rows AS t0', "TRIM"),
        (f"SELECT {NUMBER} AS x, {NUMBER} + 1 AS z, {WORD} AS w FROM rows AS t0", "TRIM"),
        (f"SELECT t1.x / SQRT(1 + (t1.x * 3) * (t1.x * 3)) AS n FROM (SELECT {NUMBER} AS x FROM rows AS t0) AS t1", "* 3"),
        ('SELECT t0.y AS y, t0.y AS again, t0."a b" FROM rows AS t0', "FROM"),
        (
            f"SELECT COALESCE(t0.y, {NUMBER}) AS c, ARRAY_CONTAINS(['x', '1'], {WORD}) AS k FROM rows AS t0",
            "TRY_CAST",
        ),
    ],
)
def test_the_result_is_the_same_and_the_part_stands_once(sql, once):
    short = staged(sql)
    assert rows(short) == rows(sql)
    assert short.count(once) == 1


def test_what_is_computed_for_few_rows_only_stays_where_it_is():
    guarded = 'CASE WHEN t0.y > 0 THEN CAST(t0."a b" AS INTEGER) ELSE 0 END'
    sql = f'SELECT {guarded} AS p, CASE WHEN t0.y > 0 THEN CAST(t0."a b" AS INTEGER) * 2 ELSE 0 END AS q FROM rows AS t0'
    assert staged(sql).count("CAST(") == 2  # in an inner query the cast would fail on 'x'
    assert rows(staged(sql)) == rows(sql)
