"""Rows written as Parquet come back with their types."""

from uuid import UUID

import duckdb
import pytest

from appliance.model.errors import Permanent
from plugins.storage_duckdb.parquet import write_parquet

ID = UUID("13814000-1dd2-11b2-8080-808080808080")


def test_rows_come_back_with_their_types(tmp_path):
    """Numbers stay numbers, ids stay ids, mixed columns become text, names keep their marks."""
    file = tmp_path / "it's.parquet"
    columns = ["ts", "value", "id", 'a "name"', "ok", "big"]
    rows = [
        (1, 1, ID, "x", True, 1 << 70),
        (2, 2.5, None, 3, None, 1),
        (3, None, ID, None, False, 2),
    ]

    write_parquet(columns, rows, file)

    found = duckdb.connect().execute("SELECT * FROM read_parquet(?)", [str(file)])
    assert [column[0] for column in found.description] == columns
    got = found.fetchall()
    assert [row[:5] for row in got] == [
        (1, 1.0, ID, "x", True), (2, 2.5, None, "3", None), (3, None, ID, None, False)
    ]  # fmt: skip  # one row a thought
    assert [float(row[5]) for row in got] == [float(1 << 70), 1.0, 2.0]


def test_no_rows_make_a_file_with_columns(tmp_path):
    """An empty answer is an answer."""
    file = tmp_path / "empty.parquet"
    write_parquet(["a", "b"], [], file)

    assert (
        duckdb.connect().execute("SELECT a, b FROM read_parquet(?)", [str(file)]).fetchall() == []
    )


def test_a_file_that_cannot_be_written_is_a_permanent_error(tmp_path):
    """Named."""
    with pytest.raises(Permanent, match="cannot write"):
        write_parquet(["a"], [(1,)], tmp_path / "none" / "a.parquet")
