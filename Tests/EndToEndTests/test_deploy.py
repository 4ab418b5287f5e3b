"""What an operator copies: the systemd units and the files beside them."""

import pathlib
import re
import shutil
import subprocess

import pytest

DEPLOY = pathlib.Path(__file__).parents[2] / "deploy"
UNITS = sorted(DEPLOY.rglob("*.service"))


def test_there_is_a_unit_for_each_half_and_one_group_for_both():
    assert {unit.name for unit in UNITS} >= {"gatehouse-policyd.service", "gatehouse-proxy.service"}
    groups = {re.search(r"^Group=(\S+)", unit.read_text(), re.M)[1] for unit in UNITS}
    groups |= {name for unit in UNITS for name in re.findall(r"^SupplementaryGroups=(\S+)", unit.read_text(), re.M)}
    made = "".join(path.read_text() for path in DEPLOY.rglob("*.conf"))
    assert any(re.search(rf"^g {group}\b", made, re.M) for group in groups)
    for unit in UNITS:
        assert "Type=notify" in unit.read_text()


def test_only_the_daemons_unit_owns_the_runtime_directory():
    owners = [unit.name for unit in UNITS if re.search(r"^RuntimeDirectory=", unit.read_text(), re.M)]
    assert owners == ["gatehouse-policyd.service"]


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_systemd_finds_nothing_wrong_with_a_unit(tmp_path, unit):
    copy = tmp_path / unit.name
    # Verified with programs that are there, as they are once the gateway is installed.
    text = re.sub(r"^(Exec\w+=[-@:+!|]*)/\S+", rf"\1{shutil.which('true')}", unit.read_text(), flags=re.M)
    copy.write_text(text)
    result = subprocess.run(["systemd-analyze", "verify", "--man=no", str(copy)], capture_output=True, text=True, timeout=60)
    complaints = [line for line in (result.stdout + result.stderr).splitlines() if "gatehouse" in line]
    assert result.returncode == 0 and not complaints, result.stdout + result.stderr
