"""The memory limit: what params.yaml says, else half of the machine's or its container's."""

from __future__ import annotations

import pytest

from pipeline import resources


def test_auto_takes_half_of_the_machine_and_a_size_is_taken_inside_the_block_only():
    half = resources.machine_memory() // 2
    with resources.limited("auto"):
        assert resources.memory() == half
    with resources.limited("1.5GB"):
        assert resources.memory() == 1_500_000_000
        with resources.limited("300 MB"):
            assert resources.memory() == 300_000_000
    assert resources.memory() == half


@pytest.mark.parametrize(("text", "expected"), [("1048576\n", 1048576), ("max\n", None)])
def test_a_container_with_less_memory_counts(tmp_path, monkeypatch, text, expected):
    whole = resources.machine_memory()
    limit = tmp_path / "memory.max"
    limit.write_text(text)
    monkeypatch.setattr(resources, "CGROUPS", (limit, tmp_path / "absent"))
    found = resources.machine_memory()
    assert found == expected if expected else found >= whole
