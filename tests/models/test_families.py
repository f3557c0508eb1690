import pytest
import toys

from pipeline.config import ModelParams
from pipeline.errors import UserError
from pipeline.models.families import groups


def chosen(kind, family, task="binary"):
    return {group.name: group.family for group in groups(toys.fitted(kind, task), ModelParams(family=family))}


def test_auto_follows_the_structure_of_the_data():
    families = {"table": "mlp", "text_0": "transformer", "image_0": "cnn", "audio_0": "cnn", "sequence": "rnn"}
    assert chosen("mixed", "auto") == families
    assert chosen("series", "auto", "forecast") == {"series": "mlp"}


def test_a_family_chosen_by_name_reads_what_it_can_and_the_rest_keeps_its_own():
    assert chosen("mixed", "rnn") == {"table": "mlp", "text_0": "rnn", "image_0": "cnn", "audio_0": "rnn", "sequence": "rnn"}
    assert set(chosen("mixed", "transformer").values()) == {"transformer"}
    assert chosen("mixed", "cnn")["table"] == "mlp"


def test_a_family_that_can_read_nothing_is_refused_with_the_columns():
    with pytest.raises(
        UserError, match=r"model\.family: rnn cannot read .*number and category columns x0, x1, k0, k1.* auto or to mlp or transformer"
    ):
        chosen("table", "rnn")
    with pytest.raises(UserError, match=r"rnn cannot read what the data hold \(image columns photo\)"):
        chosen("image", "rnn")


def test_groups_name_their_columns():
    found = {group.name: group.columns for group in groups(toys.fitted("mixed", "binary"), ModelParams())}
    assert found["table"] == ("x0", "x1", "k0", "k1")
    assert found["sequence"] == ("s0", "s1")
    assert found["audio_0"] == ("sound",)
