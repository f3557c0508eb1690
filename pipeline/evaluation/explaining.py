"""What held-out rows say beyond the score: where the network is worse, whether it treats categories alike, why it answers as it does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pandas as pd

from pipeline.data.fitted import Preprocessor
from pipeline.evaluation import calibration, fairness, influence, influence_figures, robustness, robustness_figures, slices
from pipeline.evaluation.influence import Inputs, Predict
from pipeline.evaluation.metrics import Additive, Array, Metric
from pipeline.models.answers import Answers

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Rows = list[dict[str, Any]]


@dataclass(frozen=True)
class Explained:
    """What a report shows: facts as JSON has them, tables and figures by name."""

    parts: Mapping[str, Any] = field(default_factory=dict)
    tables: Mapping[str, Rows] = field(default_factory=dict)
    figures: Mapping[str, Figure] = field(default_factory=dict)

    def __or__(self, other: Explained) -> Explained:
        return Explained({**self.parts, **other.parts}, {**self.tables, **other.tables}, {**self.figures, **other.figures})


def rows(
    fitted: Preprocessor,
    y: Array,
    outputs: Array,
    groups: Array,
    table: pd.DataFrame,
    *,
    answers: Answers,
    protected: Sequence[str],
    own: Sequence[Metric] = (),
    replicates: int,
    confidence: float,
    seed: int,
) -> Explained:
    """Parts of the rows, gaps between the categories of protected columns, confident errors, and labels that look wrong.

    Args:
        y: (rows,), and outputs as the metrics take them; groups: (rows,) of codes; answers: how classes are answered.
        table: the rows' columns as people know them.  own: the user's metrics, by which parts are described too.

    Raises:
        ValueError: as `slices.find`.
    """
    metrics = (*calibration.decided(answers), *own)
    found = slices.find(fitted.task, y, outputs, groups, table, metrics=metrics, also=[metric.name for metric in own])
    facts = {name: getattr(found, name) for name in ("looked_at", "too_small", "named", "explained", "loss")}
    parts: dict[str, Any] = {"worse": [slices.sentence(fitted.task, one) for one in found.worse], **facts}
    parts["worst_slice"] = max((one.ratio for one in found.worse), default=1.0)  # times the loss elsewhere
    tables = {"slices": slices.slice_rows(found.worse or found.all_singles)}
    if protected:
        settings: dict[str, Any] = {"replicates": replicates, "confidence": confidence, "seed": seed}
        fair = fairness.fairness(fitted.task, y, outputs, table, protected, groups, decide=answers.decide, **settings)
        parts["gaps"], tables["fairness"] = fairness.gap_rows(fair), fairness.rate_rows(fair)
    classes = fitted.target.classes
    wrong = influence.error_rows(influence.confident_errors(fitted.task, y, outputs, groups), classes)
    labels = influence.label_rows(influence.label_errors(fitted.task, y, outputs, groups), classes)
    for name, told in (("confident_errors", wrong), ("label_errors", labels)):
        tables[name] = [one | _shown(table, one["row"]) for one in told]
    return Explained(parts, tables)


def _shown(table: pd.DataFrame, row: int) -> dict[str, Any]:
    return {f"value of {name}": None if pd.isna(value) else value for name, value in table.iloc[row].items()}


def disturbed(
    fitted: Preprocessor,
    predict: Predict,
    given: Inputs,
    y: Array,
    groups: Array,
    *,
    replicates: int,
    confidence: float,
    seed: int,
    metric: Metric,
) -> Explained:
    """What the metric loses on rows disturbed as in production: noise, missing and unseen values, what befalls pictures and texts."""
    settings: dict[str, Any] = {"replicates": replicates, "confidence": confidence, "seed": seed}
    found = robustness.robustness(predict, fitted, given, y, groups, **settings, metrics=[metric])
    if not found.effects:
        return Explained()
    facts, rows = {"disturbed": robustness.sentence(found)}, robustness.rows_of(found)
    return Explained(facts, {"robustness": rows}, {"robustness": robustness_figures.robustness(found)})


def why(
    fitted: Preprocessor,
    predict: Predict,
    given: Inputs,
    y: Array,
    groups: Array,
    table: pd.DataFrame | None,
    *,
    replicates: int,
    confidence: float,
    seed: int,
    metric: Additive | None = None,
) -> Explained:
    """Permutation importance of the columns, and the partial dependence on the first of them; for a forecast the former alone.

    Nothing where a row is one picture, text, sound or sequence: that it matters is no news.

    Args:
        given: the network's inputs for some rows, and y, groups and table of the same rows.
        metric: of a forecast, by which importance is told.
    """
    if not fitted.columns and len(fitted.all_columns) < 2:
        return Explained()
    found = influence.permutation_importance(
        predict, fitted, given, y, groups, replicates=replicates, confidence=confidence, seed=seed, loss=metric, metric=metric
    )
    if not found.columns:
        return Explained()
    tables, figures = {"importance": influence.importance_rows(found)}, {"importance": influence_figures.importance(found)}
    if table is not None:
        names = [one.columns[0] for one in found.columns]
        if curves := influence.partial_dependence(predict, fitted, given, table, names, seed=seed):
            tables["dependence"], figures["dependence"] = (
                influence.dependence_rows(curves),
                influence_figures.dependence(curves, fitted.task),
            )
    return Explained({}, tables, figures)
