"""The table of faults, which `nox -s mutations` tries: here, that it fits the code and the page."""

import re
from pathlib import Path

import pytest
from faults import FAULTS
from mutations import MUTATIONS

ROOT = Path(__file__).parents[1]
ROWS = [*(mutation for fault in FAULTS for mutation in fault.mutations), *MUTATIONS]


def test_there_are_44_faults_and_each_has_a_protection():
    assert [fault.number for fault in FAULTS] == list(range(1, 45))
    assert all(fault.mutations for fault in FAULTS)


@pytest.mark.parametrize("row", ROWS, ids=range(len(ROWS)))
def test_a_protection_is_in_the_code_once_and_its_test_exists(row):
    file, protection, instead, test = row
    assert (ROOT / file).read_text().count(protection) == 1
    assert instead != protection
    path, _, name = test.partition("::")
    assert f"def {name.partition('[')[0]}(" in (ROOT / path).read_text()


def test_the_page_is_that_of_these_faults_and_all_were_noticed():
    text = (ROOT / "docs" / "faults.md").read_text()
    rows = re.findall(r"^\| (\d+) \| (.*?) \| (.*?) \| (.*?) \| (.*?) \|$", text, flags=re.MULTILINE)
    assert [(int(number), fault, happens) for number, fault, happens, *_ in rows] == [
        (fault.number, fault.fault, fault.happens) for fault in FAULTS
    ]
    for row, fault in zip(rows, FAULTS, strict=True):
        assert re.findall(r"`(\w+)`", row[3]) == [mutation.test.rpartition("::")[2] for mutation in fault.mutations]
        assert row[4] == "yes"
    assert "44 of 44" in text
