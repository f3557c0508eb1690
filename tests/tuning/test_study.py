"""The study on a journal file, driven by hand: what comes next, what is kept, and what a kill leaves."""

import math

import optuna
import pytest

from pipeline.config import Interval, TuneParams
from pipeline.errors import UserError
from pipeline.tuning import results, stores
from pipeline.tuning.study import Aim, Study

SPACE = {"train.learning_rate": Interval(log=(1e-4, 1e-1)), "model.layers": Interval(int=(1, 4)), "model.width": Interval(choice=(8, 16))}
DEFAULTS = {"train.learning_rate": 1e-3, "model.layers": 2, "model.width": 8}
EPOCHS = 9
LOSS = Aim({"loss": True}, {}, EPOCHS)
TWO = Aim({"loss": True, "latency": True}, {}, EPOCHS)


def loss_of(values):
    """A bowl with its bottom at rate 1e-2, 3 layers, width 16."""
    return (math.log10(values["train.learning_rate"]) + 2) ** 2 + (values["model.layers"] - 3) ** 2 + (values["model.width"] != 16)


def opened(store, *, trials=12, aim=LOSS, space=SPACE, key="k", join=False, seed=5, **keys):
    made_from = {"key": key, "source": "rows", "code": "c", "data": "d", "params": {"train.epochs": EPOCHS}}
    return Study(TuneParams(trials=trials, space=space, **keys), aim, space, seed=seed, store=str(store), made_from=made_from, join=join)


class Killed(BaseException):
    pass


def drive(it, *, loss=loss_of, at=None, after=None, seen=None):
    """Run the study's trials as a worker would; killed before the step `at`, or when the step `after` was judged: (trial, epoch)."""
    it.begin(DEFAULTS, list)
    while (task := it.take()) is not None:
        if seen is not None:
            seen.append(task)
        it.started(task.number, "0")
        curve = {}
        for epoch in range(EPOCHS):
            if at == (task.number, epoch):
                raise Killed
            curve[epoch] = loss(task.values) + 1 / (epoch + 1)
            goes_on = it.report(task.number, epoch, curve[epoch])
            if after == (task.number, epoch):
                raise Killed
            if not goes_on:
                it.prune(task.number, "hopeless", curve, len(curve))
                break
        else:
            it.complete(task.number, {"loss": loss(task.values)}, curve, len(curve))
    return it.result("rows", {}, epochs=EPOCHS)


def plain(sweep):
    """What does not depend on the clock."""
    return [(t.number, t.state, t.values, dict(t.params), dict(t.curve), t.reason, t.epochs) for t in sweep.trials]


def test_trial_0_is_params_yaml_so_the_best_is_never_worse(tmp_path):
    sweep = drive(opened(tmp_path / "s.log"))
    assert sweep.of(0).params == DEFAULTS
    assert sweep.of(sweep.best).values[0] <= loss_of(DEFAULTS)
    assert len(sweep.trials) == 12


def test_params_yaml_outside_the_searched_range_is_still_trial_0(tmp_path):
    outside = {"train.learning_rate": 0.5, "model.layers": None, "model.width": 12}
    it = opened(tmp_path / "s.log", trials=6)
    it.begin(outside, list)
    task = it.take()
    assert task.values == outside
    it.complete(0, {"loss": 1.0}, {}, 1)
    assert it.result("rows", {}, epochs=EPOCHS).of(0).params == outside
    assert set(it.take().values) == set(SPACE)


def test_one_seed_gives_one_sweep_and_another_seed_another(tmp_path):
    one, same, other = (plain(drive(opened(tmp_path / f"{name}.log", seed=seed))) for name, seed in (("a", 5), ("b", 5), ("c", 6)))
    assert one == same
    assert one != other


def test_more_trials_continue_the_sweep(tmp_path):
    whole = plain(drive(opened(tmp_path / "whole.log")))
    part = plain(drive(opened(tmp_path / "part.log", trials=5)))
    assert part == whole[:5]
    assert plain(drive(opened(tmp_path / "part.log"))) == whole


@pytest.mark.parametrize("pruner", ["SuccessiveHalvingPruner", "HyperbandPruner", "MedianPruner"])
def test_a_sweep_killed_as_a_trial_is_judged_judges_it_alike_again(tmp_path, pruner, monkeypatch):
    """Whether the kill comes when the value is written, or when the verdict is known and not yet kept."""
    keys = {"pruner": pruner}
    whole = plain(drive(opened(tmp_path / "whole.log", **keys)))
    ended = [(number, epochs - 1) for number, state, *_, epochs in whole if state == results.PRUNED]
    assert len(ended) > 1
    for at in ended:
        with pytest.raises(Killed):
            drive(opened(tmp_path / f"judged {at}.log", **keys), after=at)
        assert plain(drive(opened(tmp_path / f"judged {at}.log", **keys))) == whole

        def written(trial, value, step, report=optuna.Trial.report, at=at):
            report(trial, value, step)
            if (trial.number, step) == at:
                raise Killed

        with monkeypatch.context() as patch:
            patch.setattr(optuna.Trial, "report", written)
            with pytest.raises(Killed):
                drive(opened(tmp_path / f"written {at}.log", **keys))
        assert plain(drive(opened(tmp_path / f"written {at}.log", **keys))) == whole


@pytest.mark.parametrize("at", [(0, 2), (1, 0), (7, 1), (11, 8)])
def test_a_killed_sweep_resumes_to_what_an_undisturbed_one_gives(tmp_path, at):
    with pytest.raises(Killed):
        drive(opened(tmp_path / "killed.log"), at=at)
    assert plain(drive(opened(tmp_path / "killed.log"))) == plain(drive(opened(tmp_path / "whole.log")))


def test_killed_while_the_first_values_are_put_down_none_of_them_is_lost(tmp_path, monkeypatch):
    tried = [{**DEFAULTS, "model.layers": layers} for layers in (1, 3, 4)]
    put = optuna.Study.enqueue_trial

    def killed(study, params, **more):
        if params["model.layers"] == 3:
            raise Killed
        put(study, params, **more)

    with monkeypatch.context() as patch:
        patch.setattr(optuna.Study, "enqueue_trial", killed)
        with pytest.raises(Killed):
            opened(tmp_path / "s.log").begin(DEFAULTS, lambda: tried)
    it = opened(tmp_path / "s.log")
    assert not it.begin(DEFAULTS, lambda: tried)
    assert [it.take().values["model.layers"] for _ in range(4)] == [2, 1, 3, 4]
    assert not opened(tmp_path / "s.log").begin(DEFAULTS, list)


def test_hopeless_trials_are_pruned_and_what_that_saved_is_counted(tmp_path):
    sweep = drive(opened(tmp_path / "s.log", trials=20))
    pruned = [trial for trial in sweep.trials if trial.state == results.PRUNED]
    assert pruned
    assert sweep.of(0).state == results.COMPLETE
    assert sweep.saved == sum(EPOCHS - trial.epochs for trial in pruned) > 0


def test_failed_trials_are_no_part_of_the_budget(tmp_path):
    it = opened(tmp_path / "s.log", trials=4)
    it.begin(DEFAULTS, list)
    for number in range(6):
        assert it.take().number == number
        if number in (1, 3):
            it.fail(number, "refused", "the loss is not finite")
        else:
            it.complete(number, {"loss": 1.0}, {}, 1)
    assert it.take() is None
    sweep = it.result("rows", {}, epochs=EPOCHS)
    assert [trial.state for trial in sweep.trials] == ["complete", "failed", "complete", "failed", "complete", "complete"]
    assert (it.done(), it.failures()) == (4, 2)


def test_a_trial_is_begun_anew_as_itself_so_often_as_params_say_and_then_fails(tmp_path):
    it = opened(tmp_path / "s.log", trials=2, retries=2)
    it.begin(DEFAULTS, list)
    first = it.take()
    for _ in range(2):
        assert it.again(0, "killed", "its worker died")
        assert it.take() == first
    assert not it.again(0, "killed", "its worker died")
    assert it.result("rows", {}, epochs=EPOCHS).of(0).reason == "its worker died (3 times)"
    assert it.take().number == 1


def test_an_objective_that_is_not_a_number_fails_the_trial(tmp_path):
    it = opened(tmp_path / "s.log", aim=Aim({"auc": False}, {}, EPOCHS))
    it.begin(DEFAULTS, list)
    it.take()
    it.complete(0, {"loss": 0.5, "auc": math.nan}, {}, 3)
    assert it.result("rows", {}, epochs=EPOCHS).of(0).reason == "auc is not defined on the validation rows"


def test_a_metric_that_is_better_higher_is_maximized(tmp_path):
    it = opened(tmp_path / "s.log", aim=Aim({"auc": False}, {}, EPOCHS), trials=3)
    it.begin(DEFAULTS, list)
    for number, auc in enumerate((0.6, 0.8, 0.7)):
        it.take()
        it.complete(number, {"loss": 1.0, "auc": auc}, {}, 1)
    assert it.result("rows", {}, epochs=EPOCHS).best == 1


def test_of_several_objectives_the_front_is_kept_and_nothing_is_pruned(tmp_path):
    it = opened(tmp_path / "s.log", aim=TWO, trials=4)
    it.begin(DEFAULTS, list)
    for number, (loss, latency) in enumerate(((1.0, 9.0), (0.5, 20.0), (1.1, 9.5), (0.8, 5.0))):
        it.take()
        assert it.report(number, 0, 1e9)
        it.complete(number, {"loss": loss, "latency": latency}, {0: loss}, 1)
    sweep = it.result("rows", {}, epochs=EPOCHS)
    assert sweep.front == (1, 3)  # 0 and 2 are beaten in both by 3
    assert sweep.best == 1
    assert sweep.of(3).curve == {0: 0.8}


def test_the_best_trial_keeps_the_constraints(tmp_path):
    it = opened(tmp_path / "s.log", aim=Aim({"loss": True}, {"latency": (10.0, True), "auc": (0.7, False)}, EPOCHS), trials=4)
    it.begin(DEFAULTS, list)
    for number, (loss, latency, auc) in enumerate(((1.0, 9.0, 0.8), (0.5, 11.0, 0.8), (0.6, 9.0, 0.69), (0.7, 10.0, 0.7))):
        it.take()
        it.complete(number, {"loss": loss, "latency": latency, "auc": auc}, {}, 1)
    sweep = it.result("rows", {}, epochs=EPOCHS)
    assert [trial.feasible for trial in sweep.trials] == [True, False, False, True]
    assert sweep.best == 3


def test_values_to_try_first_come_after_params_yaml(tmp_path):
    it = opened(tmp_path / "s.log")
    it.begin(DEFAULTS, lambda: [{"model.layers": 4}, {"model.width": 16, "model.layers": 1}])
    tasks = [it.take() for _ in range(3)]
    assert tasks[0].values == DEFAULTS
    assert tasks[1].values["model.layers"] == 4
    assert (tasks[2].values["model.width"], tasks[2].values["model.layers"]) == (16, 1)


def test_an_earlier_sweep_gives_its_best_values(tmp_path):
    sweep = drive(opened(f"sqlite:///{tmp_path / 's.db'}", key="first"))
    narrow = {key: SPACE[key] for key in ("model.layers", "model.width")}
    ranked = sorted((t for t in sweep.trials if t.values), key=lambda t: t.values[0])
    found = stores.earlier(f"sqlite:///{tmp_path / 's.db'}", "first", narrow, 3)
    assert found == [{key: trial.params[key] for key in narrow} for trial in ranked[:3]]
    assert stores.earlier(f"sqlite:///{tmp_path / 's.db'}", "another", narrow, 3) is None
    assert stores.earlier(str(tmp_path / "absent.log"), "first", narrow, 3) is None


def test_keys_with_conditions_are_searched_where_they_hold_and_lists_are_as_long_as_they_should_be(tmp_path):
    space = {
        "model.width": Interval(int=(4, 64), each="model.layers"),
        "model.layers": Interval(int=(1, 3)),
        "train.optimizer": Interval(choice=("adamw", "sgd")),
        "train.optimizer_config.momentum": Interval(uniform=(0.0, 0.9), when={"train.optimizer": ("sgd",)}),
    }
    it = opened(tmp_path / "s.log", space=space, trials=15)
    it.begin({"model.width": 8, "model.layers": 2, "train.optimizer": "adamw", "train.optimizer_config.momentum": None}, list)
    it.take()
    it.complete(0, {"loss": 3.0}, {}, 1)
    for number in range(1, 15):
        values = it.take().values
        assert len(values["model.width"]) == values["model.layers"]
        assert ("train.optimizer_config.momentum" in values) == (values["train.optimizer"] == "sgd")
        it.complete(number, {"loss": sum(values["model.width"])}, {}, 1)
    trials = it.result("rows", {}, epochs=EPOCHS).trials
    assert {trial.params["model.layers"] for trial in trials} == {1, 2, 3}
    assert all(len(trial.params["model.width"]) == trial.params["model.layers"] for trial in trials[1:])


@pytest.mark.parametrize("name", ["TPESampler", "RandomSampler", "QMCSampler", "CmaEsSampler", "NSGAIISampler"])
def test_samplers_come_from_optuna_by_name(tmp_path, name):
    assert len(drive(opened(tmp_path / "s.log", trials=4, sampler=name, pruner="MedianPruner")).trials) == 4


def test_a_grid_ends_when_everything_was_tried(tmp_path):
    space = {"model.layers": Interval(int=(1, 3)), "model.width": Interval(choice=(8, 16))}
    it = opened(tmp_path / "s.log", space=space, trials=50, sampler="GridSampler", pruner="NopPruner")
    it.begin({"model.layers": 2, "model.width": 8}, list)
    tried = []
    while (task := it.take()) is not None:
        tried.append(tuple(task.values.values()))
        it.complete(task.number, {"loss": 1.0}, {}, 1)
    assert set(tried) == {(layers, width) for layers in (1, 2, 3) for width in (8, 16)}
    assert len(tried) <= 7  # params.yaml, and every combination


def test_mistakes_in_the_settings_of_samplers_and_pruners_are_told(tmp_path):
    for keys, message in (
        ({"sampler": "TPE"}, r"tune.sampler: expected one of .*TPESampler.*, got 'TPE'"),
        ({"pruner": "Hyper"}, r"tune.pruner: expected one of .*HyperbandPruner.*, got 'Hyper'"),
        ({"sampler_config": {"startup": 3}}, r"tune.sampler_config: TPESampler has no startup; it has .*n_startup_trials"),
        ({"pruner": "PercentilePruner"}, "tune.pruner: PercentilePruner cannot be made: .*percentile"),
        ({"sampler": "GridSampler"}, "GridSampler tries every value, but train.learning_rate is no choice"),
    ):
        with pytest.raises(UserError, match=message):
            opened(tmp_path / "s.log", **keys)


def test_settings_reach_the_sampler_and_the_pruner(tmp_path):
    quick = drive(
        opened(tmp_path / "a.log", trials=20, pruner="PercentilePruner", pruner_config={"percentile": 1.0, "n_startup_trials": 1})
    )
    slow = drive(opened(tmp_path / "b.log", trials=20, pruner="PercentilePruner", pruner_config={"percentile": 99.0}))
    assert quick.count(results.PRUNED) > slow.count(results.PRUNED)


def test_the_time_of_earlier_calls_counts(tmp_path):
    first = opened(tmp_path / "s.log")
    first._before = 100.0
    first.close()
    assert 100 <= opened(tmp_path / "s.log").spent() < 200


def test_who_joins_a_sweep_that_is_not_there_hears_in_what_theirs_differs(tmp_path):
    drive(opened(f"sqlite:///{tmp_path / 's.db'}", trials=1, key="theirs"))
    mine = {"key": "mine", "source": "rows", "code": "c", "data": "other", "params": {"train.epochs": 3}}
    with pytest.raises(UserError, match=r"tune --join: .*data is another \(other, there d\); train.epochs is 3, there 9"):
        Study(TuneParams(space=SPACE), LOSS, SPACE, seed=5, store=f"sqlite:///{tmp_path / 's.db'}", made_from=mine, join=True)


def test_a_store_out_of_reach_is_one_line_without_the_password(tmp_path):
    with pytest.raises(UserError, match=r"tune.storage: postgresql\+psycopg://me:\*\*\*@127.0.0.1:1/d cannot be used") as caught:
        opened(stores.address("postgresql://me:hushhush@127.0.0.1:1/d", tmp_path / "s.log"))
    assert "hushhush" not in str(caught.value)


def test_storage_is_a_url_or_the_variable_that_holds_one(tmp_path, monkeypatch):
    monkeypatch.setenv("STUDIES", "postgres://h/d")
    assert stores.address("STUDIES", tmp_path) == "postgresql+psycopg://h/d"
    assert stores.address(None, tmp_path / "s.log") == str(tmp_path / "s.log")
    with pytest.raises(UserError, match="NOWHERE is not set"):
        stores.address("NOWHERE", tmp_path)


def test_a_machine_that_gives_no_sign_of_life_has_its_trials_begun_anew(tmp_path):
    """Two machines on one database; the first one dies with trial 1."""
    store = f"sqlite:///{tmp_path / 's.db'}"
    dead = opened(store, trials=3, heartbeat=1, retries=1)
    dead.begin(DEFAULTS, list)
    dead.take()
    dead.complete(0, {"loss": 2.0}, {}, 1)
    lost = dead.take()
    dead._stop.set()  # no beat any more
    alive = opened(store, trials=3, heartbeat=1, retries=1)
    assert alive.take().number == 2
    alive.complete(2, {"loss": 1.0}, {}, 1)
    assert alive.elsewhere()
    import time

    for _ in range(50):
        if (task := alive.take()) is not None:
            break
        time.sleep(0.2)
    assert task.values == lost.values
    alive.complete(task.number, {"loss": 0.5}, {}, 1)
    assert alive.take() is None
    assert not alive.elsewhere()
    sweep = alive.result("rows", {}, epochs=EPOCHS)
    assert [trial.state for trial in sweep.trials] == ["complete"] * 3
    alive.close()


def test_machines_that_ask_at_once_draw_different_values(tmp_path):
    store = f"sqlite:///{tmp_path / 's.db'}"
    here, there = opened(store), opened(store)
    here.begin(DEFAULTS, list)
    here.take()
    ask, taken = here._study.ask, []

    def ask_late():  # after this machine looked which trial comes next, the other takes that one
        taken.append(there.take())
        return ask()

    here._study.ask = ask_late
    taken.append(here.take())
    assert [task.number for task in taken] == [1, 2]
    assert taken[0].values["train.learning_rate"] != taken[1].values["train.learning_rate"]
    for it in (here, there):
        it.close()
