"""CO2 in the air at Mauna Loa, week by week from 1958 to 2001, carried by statsmodels (Keeling & Whorf, public domain)."""

import importlib.util
from pathlib import Path

import pandas as pd


def load() -> pd.DataFrame:
    """One row a week: the Saturday on which it ends, and parts per million; a week without a value has the one before."""
    # by path: importing statsmodels takes two seconds
    package = Path(importlib.util.find_spec("statsmodels").origin).parent
    table = pd.read_csv(package / "datasets" / "co2" / "co2.csv")
    week = pd.to_datetime(table["date"].astype(str), format="%Y%m%d")
    weekly = pd.Series(table["co2"].to_numpy(), index=week).asfreq("W-SAT").ffill()  # what came later is not known yet
    return pd.DataFrame({"week": weekly.index, "co2": weekly.to_numpy()})
