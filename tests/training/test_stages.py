import pytest

from s2f_tf.training import loop, stages


@pytest.mark.parametrize("heads", [stages.MATCHING_TABLE, stages.GENERATION_TABLE])
def test_tables_fit_a_terminal_of_80_columns(heads):
    table = loop.Table(heads)
    first, second = (table.row(step, dict.fromkeys(heads, 12.0) | {"best_step": 9_000}) for step in (500, 12_000))
    head, row = first.splitlines()
    assert len(head) == len(row) == len(second) < 80
    assert head.endswith(list(heads.values())[-1])
    assert (row.split()[0], second.split()[0]) == ("500", "12,000")


def test_only_what_is_measured_gets_a_column():
    row = loop.Table({"loss": "loss", "k10": "of 10"}).row(1, {"loss": 0.5, "more": 1.0})
    assert [line.split() for line in row.splitlines()] == [["step", "loss"], ["1", "0.500"]]
