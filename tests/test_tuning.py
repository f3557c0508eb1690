import optuna
import pytest

from pipeline import tuning
from pipeline.config import Interval, TuneParams
from pipeline.errors import UserError

SPACE = {"train.learning_rate": Interval(log=(1e-4, 1e-1)), "model.layers": Interval(int=(1, 4)), "model.width": Interval(choice=(8, 16))}
DEFAULTS = {"train.learning_rate": 1e-3, "model.layers": 2, "model.width": 8}


def loss_of(values):
    """A bowl with its bottom at rate 1e-2, 3 layers, width 16."""
    import math

    return (math.log10(values["train.learning_rate"]) + 2) ** 2 + (values["model.layers"] - 3) ** 2 + (values["model.width"] != 16)


def objective(values, report):
    loss = loss_of(values)
    for epoch in range(9):
        report(epoch, loss + 1 / (epoch + 1))
    return loss


def sweep(journal, trials=12, objective=objective, defaults=DEFAULTS, **keys):
    tune = TuneParams(trials=trials, space=SPACE, **keys)
    return tuning.sweep(objective, tune, defaults=defaults, epochs=9, seed=5, journal=journal, on_trial=lambda trial: None)


def rows(study):
    return [(t["number"], t["state"], t["value"], t["params"], t["curve"]) for t in tuning.table(study)]


def test_trial_0_is_params_yaml_so_the_best_is_never_worse(tmp_path):
    study = sweep(tmp_path / "s.log")
    first = tuning.table(study)[0]
    assert first["params"] == DEFAULTS
    assert study.best_value <= loss_of(DEFAULTS)
    assert len(study.trials) == 12


def test_best_is_empty_where_params_yaml_wins(tmp_path):
    bottom = {"train.learning_rate": 1e-2, "model.layers": 3, "model.width": 16}
    assert tuning.best(sweep(tmp_path / "s.log", trials=4, defaults=bottom)) == {}


def test_params_yaml_outside_the_searched_range_is_still_trial_0(tmp_path):
    seen = []

    def spy(values, report):
        seen.append(dict(values))
        return loss_of(values)

    outside = {"train.learning_rate": 0.5, "model.layers": 2, "model.width": 12}
    study = sweep(tmp_path / "s.log", trials=3, objective=spy, defaults=outside)
    assert seen[0] == outside
    assert tuning.table(study)[0]["params"] == outside


def test_one_seed_gives_one_sweep_and_another_journal_does_not_matter(tmp_path):
    assert rows(sweep(tmp_path / "a.log")) == rows(sweep(tmp_path / "b.log"))


def test_more_trials_continue_the_sweep(tmp_path):
    whole = rows(sweep(tmp_path / "whole.log", trials=12))
    part = rows(sweep(tmp_path / "part.log", trials=5))
    assert part == whole[:5]
    assert rows(sweep(tmp_path / "part.log", trials=12)) == whole


class Killed(BaseException):
    pass


@pytest.mark.parametrize(("at_trial", "at_epoch"), [(0, 2), (1, 0), (7, 1)])
def test_a_killed_sweep_resumes_to_what_an_undisturbed_one_gives(tmp_path, at_trial, at_epoch):
    calls = []

    def killed(values, report):
        number, loss = len(calls), loss_of(values)
        calls.append(values)
        for epoch in range(9):
            if (number, epoch) == (at_trial, at_epoch):
                raise Killed
            report(epoch, loss + 1 / (epoch + 1))
        return loss

    with pytest.raises(Killed):
        sweep(tmp_path / "killed.log", objective=killed)
    assert rows(sweep(tmp_path / "killed.log")) == rows(sweep(tmp_path / "whole.log"))


def test_hopeless_trials_are_pruned(tmp_path):
    states = [state for _, state, *_ in rows(sweep(tmp_path / "s.log", trials=20))]
    assert states.count("PRUNED") > 0
    assert states[0] == "COMPLETE"


def test_a_diverged_trial_does_not_end_the_sweep(tmp_path):
    def diverging(values, report):
        if values["model.layers"] == 2:
            raise UserError("loss is not finite")
        return loss_of(values)

    study = sweep(tmp_path / "s.log", objective=diverging)
    assert tuning.table(study)[0]["state"] == "FAIL"
    assert study.best_trial.params["model.layers"] != 2


def test_a_sweep_of_failures_says_why(tmp_path):
    def failing(values, report):
        raise UserError("loss is not finite")

    with pytest.raises(UserError, match="none of 3 trials came to an end; the first: loss is not finite"):
        sweep(tmp_path / "s.log", trials=3, objective=failing)


@pytest.mark.parametrize("name", ["TPESampler", "RandomSampler", "QMCSampler"])
def test_samplers_come_from_optuna_by_name(tmp_path, name):
    assert len(sweep(tmp_path / "s.log", trials=4, sampler=name, pruner="MedianPruner").trials) == 4


def test_unknown_sampler_and_pruner_are_named_with_the_known_ones(tmp_path):
    with pytest.raises(UserError, match=r"tune.sampler: expected one of .*TPESampler.*, got 'TPE'"):
        sweep(tmp_path / "s.log", sampler="TPE")
    with pytest.raises(UserError, match=r"tune.pruner: expected one of .*HyperbandPruner.*, got 'Hyper'"):
        sweep(tmp_path / "s.log", pruner="Hyper")


def test_states_of_optuna_that_count_as_done():
    assert set(tuning.DONE) == {s for s in optuna.trial.TrialState if s.is_finished()}
