# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""nagios_info: parameters, documentation, and that an ill Nagios is no failure."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from ansible_collections.selfheal.cluster.plugins.doc_fragments.nagios import ModuleDocFragment
from ansible_collections.selfheal.cluster.plugins.module_utils import _nagios_module as common
from ansible_collections.selfheal.cluster.plugins.module_utils._errors import SelfhealError
from ansible_collections.selfheal.cluster.plugins.modules import nagios_info
from tests.unit.nagios.answers import HOST, SERVICE, Opener, answer

PARAMS: dict[str, Any] = {
    "url": "http://m/nagios4", "user": "u", "password": "p", "password_file": None, "timeout": 10.0, "use_proxy": True,
    "validate_certs": True, "ca_path": None, "status_update_interval": 1.0, "gather": ["services", "hosts"],
    "host": None, "hostgroup": None, "service": None, "expected_services": None, "fail_on_stale": False,
}  # fmt: skip


def test_the_documentation_is_the_argument_spec() -> None:
    documented = {
        **yaml.safe_load(ModuleDocFragment.DOCUMENTATION)["options"],
        **yaml.safe_load(nagios_info.DOCUMENTATION)["options"],
    }
    spec = nagios_info.argument_spec()
    assert set(documented) == set(spec)
    for name, own in spec.items():
        for key in ("type", "elements", "choices", "default", "required"):
            assert documented[name].get(key) == own.get(key), f"{name}: {key}"


def test_gather_is_one_bulk_query_per_kind() -> None:
    opener = Opener([answer("servicelist", {"web1": {"memory": SERVICE}}), answer("hostlist", {"web1": HOST})])
    result = nagios_info.gather(common.client(PARAMS, opener), PARAMS)
    assert [call[0].partition("query=")[2].partition("&")[0] for call in opener.calls] == [
        "servicelist", "hostlist", "hostlist",
    ]  # fmt: skip
    assert (len(result["services"]), len(result["hosts"]), result["nagios"]["fresh"]) == (1, 1, True)


def test_an_ill_nagios_is_a_result() -> None:
    result = nagios_info.gather(common.client(PARAMS, Opener([ConnectionRefusedError("no")])), PARAMS)
    assert (result["nagios"]["reason"], result["services"], result["hosts"]) == ("unreachable", [], [])


def test_the_worst_answer_decides() -> None:
    opener = Opener([answer("servicelist", {"web1": {"memory": SERVICE}}), b"", b""])
    assert nagios_info.gather(common.client(PARAMS, opener), PARAMS)["nagios"]["reason"] == "empty"


def test_password_file(tmp_path: Path) -> None:
    file = tmp_path / "password"
    file.write_text("s3cret\nsecond line\n")
    opener = Opener([answer("servicelist", {})])
    common.client({**PARAMS, "password": None, "password_file": str(file)}, opener).services()
    assert opener.calls[0][1]["url_password"] == "s3cret"
    with pytest.raises(SelfhealError) as caught:
        common.client({**PARAMS, "password": None, "password_file": str(tmp_path / "none")})
    assert caught.value.reason == "password_file"


@pytest.mark.parametrize("change", [{"timeout": 0.0}, {"timeout": float("nan")}, {"status_update_interval": -1.0}])
def test_numbers_that_make_no_sense(change: dict[str, float]) -> None:
    with pytest.raises(SelfhealError):
        common.client({**PARAMS, **change})
