# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""Filter for the roles that apply objects: what the API server of Kubernetes says no with, as one sentence."""

from __future__ import annotations

import json
import re
from typing import Any, Callable

DOCUMENTATION = r"""
name: kubernetes_said
short_description: The sentence in an error of the modules of kubernetes.core
version_added: 0.1.0
author:
  - selfheal.cluster contributors (@selfheal-cluster)
description:
  - The modules of C(kubernetes.core) give the whole answer of the API server, a C(Status) of C(meta/v1) as JSON, within
    their message. This gives the sentence in it.
  - A message without such an answer stays as it is, in one line and not longer than 600 characters.
positional: _input
options:
  _input:
    description: The message of a failed task.
    type: str
    required: true
"""

EXAMPLES = r"""
- name: Say what the API server said
  ansible.builtin.fail:
    msg: "{{ ansible_failed_result.msg | selfheal.cluster.kubernetes_said }}"
"""

RETURN = r"""
_value:
  description: One sentence.
  type: str
  sample: 'Service "ei-service" is invalid: spec.ports[0].nodePort: provided port is not in the valid range.'
"""

_LONGEST = 600
#: The only file that these modules are given by its name is the kubeconfig.
_NO_FILE = re.compile(r"Could not find or access '([^'\n]*)' on the Ansible Controller.*", re.DOTALL)
#: An object that cannot even be read is given back as a whole, before the reason.
_WHOLE_OBJECT = re.compile(r"patch: Invalid value: .*\": (?=[^\"]+$)", re.DOTALL)


def kubernetes_said(message: Any) -> str:
    """See DOCUMENTATION."""
    text = str(message)
    start = text.find('{"kind":"Status"')
    if start >= 0:
        try:
            status, _end = json.JSONDecoder().raw_decode(text[start:])
            text = str(status.get("message") or text)
        except ValueError:
            pass  # cut off on its way; then it is told as it came
    text = _WHOLE_OBJECT.sub("what is given does not fit: ", text)
    text = _NO_FILE.sub(r"There is no kubeconfig '\1' on the machine that runs Ansible.", text)
    said = " ".join(text.replace('"" is invalid: what', "What").split())
    return said if len(said) <= _LONGEST else said[: _LONGEST - 3] + "..."


class FilterModule:
    """What Ansible looks for."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """The filters of this file."""
        return {"kubernetes_said": kubernetes_said}
