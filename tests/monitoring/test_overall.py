"""From windows to an alarm."""

import pytest

from pipeline.monitoring import overall


def window(state, at, labelled=100, rise=0.1):
    decay = {"difference": rise, "reference_loss": 0.5} if state == "decay" else None
    told = {"window": f"w{at}", "state": state, "decayed": state == "decay", "decay": decay, "labelled": labelled}
    return told | {"start": None, "end": None}


def windows(states):
    names = {"o": "ok", "d": "drift", "x": "decay", "?": "insufficient data"}
    return [window(names[letter], at) for at, letter in enumerate(states)]


@pytest.mark.parametrize(
    ("states", "least", "of", "alarms"),
    [
        ("oddo", 1, 1, "-dd-"),
        ("odod", 2, 3, "---d"),
        ("odoxd", 2, 3, "---xd"),
        ("od?d", 2, 2, "---d"),  # what cannot be judged is passed over
        ("d?o?d", 2, 3, "----d"),
        ("d?o", 1, 3, "d--"),  # a quiet window raises nothing
        ("", 1, 1, ""),
    ],
)
def test_k_of_the_last_n_windows(states, least, of, alarms):
    found = overall.alarmed(windows(states), least, of)
    assert "".join(letter if one["alarm"] else "-" for letter, one in zip(states, found, strict=True)) == alarms


@pytest.mark.parametrize(("states", "since"), [("oodx", "w2"), ("xodd", "w2"), ("xxx", "w0"), ("ooo", "w0"), ("xo", "w1")])
def test_since_when_it_is_so(states, since):
    found = windows(states)
    assert overall._since(found, found[-1]["state"])["window"] == since


def test_training_again_takes_the_rows_since_the_change():
    found = windows("oodx")
    told = overall.retrain(found, found[2])
    assert told == {
        "suggested": True,
        "from": "w2",
        "to": "w3",
        "rows": 200,
        "why": "the loss has risen by 20% (w3); 200 labelled rows have come since",
        "start": None,
        "end": None,
    }
    unlabelled = [window("drift", 0, labelled=0)]
    assert not overall.retrain(unlabelled, unlabelled[0])["suggested"]
    assert "gather them first" in overall.retrain(unlabelled, unlabelled[0])["why"]


def test_nobody_is_told_to_train_on_broken_rows():
    measure = {"column": "age", "drifted": True, "harmful": True}
    fault = {"kind": "unit change", "columns": ["age"], "sentence": "age is about 12 times the usual values"}
    broken = windows("oox")
    broken[2] |= {"breaks": [fault], "measures": [measure]}
    told = overall.retrain(broken, broken[2])
    assert (told["suggested"], told["why"].partition(", but ")[2]) == (False, f"the data are broken: {fault['sentence']}; mend that first")
    for harmless in ({"breaks": [fault | {"kind": "new categories"}]}, {"measures": [measure | {"harmful": False}]}):
        assert overall.retrain([broken[2] | harmless], broken[2])["suggested"]
    assert overall.retrain([*broken, window("decay", 3)], broken[2])["suggested"]
