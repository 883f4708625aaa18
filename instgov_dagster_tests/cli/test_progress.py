from pathlib import Path

import pytest

from instgov_dagster.cli.progress import progress, read_counter


@pytest.mark.parametrize(
    ("text", "counted"),
    [("3/60 cycles", (3, 60)), ("15/15 steps (governance_decisions)", (15, 15)), ("", None)],
)
def test_a_counter_is_read_as_far_as_it_is_written(
    tmp_path: Path, text: str, counted: tuple[int, int] | None
) -> None:
    path = tmp_path / "counter"
    path.write_text(text)
    assert read_counter(path) == counted


def test_no_counter_is_no_progress(tmp_path: Path) -> None:
    assert read_counter(tmp_path / "none") is None


def test_nothing_is_drawn_or_removed_where_nobody_watches(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "counter"
    path.write_text("1/2")
    with progress(path, "night", is_shown=True):  # no terminal here
        assert path.exists()
    assert capsys.readouterr() == ("", "")
