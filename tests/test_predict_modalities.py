"""Raw rows of every kind through the files of a package give what the arrays give: the real data stages, a small network."""

from __future__ import annotations

import base64
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from media_files import png, wav
from package_files import packed

from pipeline import packaging, paths
from pipeline.commands.stages import run_stage
from pipeline.config import ModelParams
from pipeline.data import arrays, replaying
from pipeline.data.engine import engine
from pipeline.data.fitted import Preprocessor
from pipeline.errors import UserError
from pipeline.models.build import build, serving
from pipeline.models.fit import outputs
from pipeline.params_file import load
from pipeline.predict import Model

ROWS = 60


def rows(*kinds: str) -> pd.DataFrame:
    """Rows of numbers, texts, pictures, sounds and sequences, with a missing one of each."""
    rng = np.random.default_rng(0)
    words = np.array(["red", "green", "blue", "small", "large", "round", "flat"])
    made = {
        "x": rng.normal(size=ROWS).round(3),
        "note": [" ".join(rng.choice(words, rng.integers(3, 9))) + f" number {at}" for at in range(ROWS)],
        "photo": [png(rng.integers(0, 255, (6, 5), dtype=np.uint8)) for _ in range(ROWS)],
        "call": [wav(rng.normal(0, 0.1, 800)) for _ in range(ROWS)],
        "pulse": [rng.normal(size=rng.integers(2, 7)).tolist() for _ in range(ROWS)],
    }
    frame = pd.DataFrame({name: made[name] for name in kinds})
    for at, name in enumerate(kinds):
        frame.loc[3 + at, name] = None
    return frame.assign(answer=rng.choice(["no", "yes", "maybe"], ROWS))


def normalized(write_params, frame: pd.DataFrame, *, task: str, split: dict | None = None, **data: object) -> Preprocessor:
    frame.to_parquet("rows.parquet")
    Path("params.yaml").unlink(missing_ok=True)
    write_params(
        data={"source": "rows.parquet", "task": task, **data},
        split=split or {"strategy": "random", "by": None, "validation": 0.2, "test": 0.3},
        normalize={"audio": {"sample_rate": 8000, "mels": 8}, "text": {"vocabulary": 80}},
    )
    for stage in ("collect", "clean", "split", "normalize"):
        run_stage(stage, load(paths.PARAMS))
    return Preprocessor.from_json(paths.PREPROCESSOR.read_text())


def packaged(fitted: Preprocessor, **model: object) -> Model:
    network = build(fitted, ModelParams(layers=1, width=8, heads=2, bins=4, embedding=2, **model), seed=1)
    return Model(packed(Path("files"), fitted, serving(network)))


def raw_test_rows() -> pd.DataFrame:
    ids = pd.read_parquet(paths.SPLIT / "test" / paths.ROWS)["__row_id__"]
    return pd.read_parquet(paths.RAW / paths.ROWS).set_index("__row_id__").loc[ids].reset_index(drop=True)


@pytest.mark.parametrize(
    "kinds", [("note",), ("photo",), ("call",), ("pulse",), ("x", "note", "photo", "call", "pulse")], ids=lambda kinds: "+".join(kinds)
)
def test_raw_rows_of_every_kind_give_what_the_arrays_give(workspace, write_params, kinds):
    fitted = normalized(write_params, rows(*kinds), task="multiclass", target="answer", columns={"note": "text"} if "note" in kinds else {})
    assert set(packaging.columns(fitted)) == set(kinds)
    model = packaged(fitted)
    expected = outputs(model.network, fitted, arrays.load("test"))
    assert np.ptp(expected, axis=0).min() > 1e-3  # the network looks at what it is given
    raw = raw_test_rows()
    np.testing.assert_allclose(model.outputs(raw), expected, atol=1e-5)
    np.testing.assert_allclose(model.outputs(raw[raw.columns[::-1]].drop(columns="answer")), expected, atol=1e-5)
    np.testing.assert_allclose(np.concatenate([model.outputs(raw.iloc[[at]]) for at in range(4)]), expected[:4], atol=1e-5)
    answer, table = model.predict(raw), pa.Table.from_pandas(raw, preserve_index=False)
    coded = {name: [value and base64.b64encode(value).decode() for value in raw[name]] for name in ("photo", "call") if name in kinds}
    for some in (
        table,
        pa.Table.from_pandas(raw.assign(**coded), preserve_index=False),
        pa.concat_tables([table.slice(0, 3), table.slice(3)]),
    ):
        pd.testing.assert_frame_equal(model.answer(some).to_pandas(), answer, check_dtype=False)
    assert list(answer) == [
        "prediction",
        *(f"probability of {name}" for name in ("maybe", "no", "yes")),
        "refused",
        "flags",
    ]


def test_pictures_may_be_asked_by_path_and_a_path_to_nothing_is_named(workspace, write_params):
    model = packaged(normalized(write_params, rows("photo"), task="multiclass", target="answer"))
    raw = raw_test_rows().dropna().head(2).reset_index(drop=True)
    for at, data in enumerate(raw["photo"]):
        Path(f"{at}.png").write_bytes(data)
    by_path = raw.assign(photo=[base64.encodebytes(raw["photo"].iloc[0]).decode(), Path("1.png")])
    np.testing.assert_array_equal(model.outputs(by_path), model.outputs(raw))
    with pytest.raises(UserError, match=r"column photo: 'absent.png' cannot be read \(No such file"):
        model.outputs(raw.assign(photo=[Path("absent.png")] * 2))
    with pytest.raises(UserError, match=r"column photo: expected bytes, or base64 text, got '1\.png'"):
        model.outputs(raw.assign(photo="1.png"))  # a request must not choose which files are read


def shops(steps: int = 60) -> pd.DataFrame:
    """Two shops, day by day, one of which begins later and has a day missing."""
    rng = np.random.default_rng(0)
    days = pd.date_range("2024-01-01", periods=steps)
    both = [
        pd.DataFrame(
            {"day": days[at:], "shop": name, "sold": rng.normal(100, 9, steps - at).round(2), "open": rng.uniform(size=steps - at)}
        )
        for at, name in ((0, "north"), (5, "south"))
    ]
    return pd.concat([both[0], both[1].drop(index=20)], ignore_index=True).sample(frac=1, random_state=0, ignore_index=True)


FORECAST = {"look_back": 6, "horizon": 2, "time": "day", "series": "shop"}
BY_TIME = {"strategy": "time", "by": "day", "validation": 0.2, "test": 0.3}


def test_windows_replayed_from_raw_rows_give_what_the_arrays_give(workspace, write_params):
    fitted = normalized(write_params, shops(), task="forecast", target=["sold", "open"], forecast=FORECAST, split=BY_TIME)
    assert packaging.columns(fitted) == ("day", "shop", "sold", "open")
    model = packaged(fitted, family="mlp")
    expected = outputs(model.network, fitted, arrays.load("test"))
    assert expected.shape[1:] == (2, 2)
    train, validation, test = (paths.SPLIT / side / paths.ROWS for side in paths.SIDES[:3])
    with engine() as backend:
        steps = replaying.steps(backend, test, [train, validation], fitted)
        raw = replaying.window_rows(backend, paths.RAW / paths.ROWS, steps, np.arange(len(steps)), fitted.forecast)
    assert steps.starts.tolist() == np.load(paths.NORMALIZED / "test" / "start.npy").tolist()
    assert "__row_id__" not in raw
    answers = [model.predict(raw.iloc[at : at + 6]) for at in range(0, len(raw), 6)]
    np.testing.assert_allclose(packaging.outputs(fitted, pd.concat(answers)), expected, rtol=1e-5)
    first = answers[0]
    assert list(first) == [
        "shop",
        "day",
        *(name for target in ("sold", "open") for name in (target, f"low of {target}", f"high of {target}")),
    ]
    seen = pd.to_datetime(raw["day"].iloc[:6])
    assert list(first["day"]) == [seen.max() + pd.Timedelta(days=step) for step in (1, 2)]


def test_several_series_are_asked_at_once_and_too_few_rows_are_refused(workspace, write_params):
    fitted = normalized(write_params, shops(), task="forecast", target="sold", forecast=FORECAST, split=BY_TIME)
    model = packaged(fitted, family="rnn")
    late = shops()[lambda frame: frame["day"] > "2024-02-10"]
    both = model.predict(late)
    assert list(both["shop"]) == ["north", "north", "south", "south"]
    alone = [model.predict(late[late["shop"] == name]) for name in ("north", "south")]
    np.testing.assert_allclose(both["sold"], pd.concat(alone)["sold"], rtol=1e-6)
    with pytest.raises(UserError, match="needs the last 6 rows of each series or more, got north: 3, south: 3"):
        model.predict(late[late["day"] > "2024-02-26"])
