"""The RAND Health Insurance Experiment: 20,190 person-years, carried by statsmodels (public domain).

`any_visit`, the target, is whether the person saw a doctor in the year.  A person's years are not marked in the data;
rows that agree in every baseline column are taken for one person (README.md).
"""

import importlib.util
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

RENAMED = {
    "idp": "individual_deductible",
    "lpi": "log_incentive_payment",
    "fmde": "log_maximum_expenditure",
    "physlm": "physical_limitation",
    "disea": "chronic_diseases",
    "hlthg": "health_good",
    "hlthf": "health_fair",
    "hlthp": "health_poor",
}
BASELINE = ["lncoins", *RENAMED]


def load() -> pa.Table:
    """One row per person and year."""
    # by path: importing statsmodels takes two seconds
    package = Path(importlib.util.find_spec("statsmodels").origin).parent
    table = pyarrow.csv.read_csv(package / "datasets" / "randhie" / "randhie.csv")
    percent = pc.round(pc.subtract(pc.exp(table["lncoins"]), 1.0))  # lncoins is ln(coinsurance in percent + 1)
    plan = pc.binary_join_element_wise(pc.cast(pc.cast(percent, pa.int64()), pa.string()), "%", "")
    key = pc.binary_join_element_wise(*[pc.cast(table[name], pa.string()) for name in BASELINE], "|")
    columns = {
        "person": pc.cast(pc.dictionary_encode(key).combine_chunks().indices, pa.int64()),
        "plan": plan,
        **{new: table[old] for old, new in RENAMED.items()},
        "any_visit": pc.cast(pc.greater(table["mdvis"], 0), pa.int64()),
    }
    return pa.table(columns)
