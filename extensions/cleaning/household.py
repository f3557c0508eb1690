"""Columns made from others: one is changed, two are added.

In params.yaml:

    clean: {steps: [extensions/cleaning/household.py]}
"""

import ibis


def clean(table):
    """The table holds the clean columns: numbers as float64, texts tidy, dates as timestamps, what is missing as null."""
    income = table.income.clip(lower=0)  # a changed column keeps its name and its kind
    return table.mutate(
        income=income,
        income_by_age=income / (table.age - 17),  # missing where income or age is
        age_group=ibis.cases((table.age < 30, "young"), (table.age < 60, "middle"), else_="old"),  # a text becomes a category
    )
