"""Reports for people and for programs."""

import json
import math

from vmem_ros.reporting.report import Report
from vmem_ros.reporting.tables import Table


def test_they_say_identical_and_unknown(tmp_path):
    table = Table("T", [{"a": math.inf, "b": math.nan, "c": 1234.5, "d": 4e-7, "e": "x"}])
    Report("Title", "Summary.", [table], settings={"seed": 3}).write(tmp_path)
    assert "| identical | - | 1234 | 4e-07 | x |" in (tmp_path / "report.md").read_text()
    record = json.loads((tmp_path / "report.json").read_text())
    assert record["tables"]["T"] == [{"a": "identical", "b": None, "c": 1234.5, "d": 4e-7, "e": "x"}]
    assert record["settings"] == {"seed": 3}
    assert "cores" in record["machine"]["processor"]
