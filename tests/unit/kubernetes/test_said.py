# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""One sentence out of what the modules of kubernetes.core say; the answers were recorded from an API server 1.35.4."""

from __future__ import annotations

import json

import pytest

from ansible_collections.selfheal.cluster.plugins.filter.kubernetes_said import kubernetes_said

PORT = (
    'Service "ei-service" is invalid: spec.ports[0].nodePort: Invalid value: 80: provided port is not in the valid '
    "range. The range of valid ports is 30000-32767"
)
NO_NUMBER = (
    ' "" is invalid: patch: Invalid value: "{\\"apiVersion\\":\\"autoscaling/v2\\",\\"kind\\":'
    '\\"HorizontalPodAutoscaler\\",\\"metadata\\":{\\"annotations\\":{\\"a\\":\\"the server could not find it: '
    '(get pods.metrics.k8s.io)\\"}}}": json: cannot unmarshal string into Go struct field '
    "HPAScalingRules.spec.behavior.scaleDown.stabilizationWindowSeconds of type int32"
)


def answer(message: str) -> str:
    status = {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Failure",
        "message": message,
        "code": 422,
    }
    return "Failed to apply object: " + json.dumps(status, separators=(",", ":")) + "\n"


@pytest.mark.parametrize(
    ("message", "sentence"),
    [
        (answer(PORT), PORT),
        (
            answer(NO_NUMBER),
            "What is given does not fit: json: cannot unmarshal string into Go struct field "
            "HPAScalingRules.spec.behavior.scaleDown.stabilizationWindowSeconds of type int32",
        ),
        ("Failed to import\nthe library   (kubernetes)", "Failed to import the library (kubernetes)"),
        ('x {"kind":"Status","message":"cut', 'x {"kind":"Status","message":"cut'),
        (
            "Could not find or access '/nonexistent' on the Ansible Controller.\n"
            "If you are using a module and expect the file to exist on the remote, see the remote_src option",
            "There is no kubeconfig '/nonexistent' on the machine that runs Ansible.",
        ),
        ("y" * 700, "y" * 597 + "..."),
    ],
    ids=["a sentence", "an object that cannot be read", "none of the API server", "cut off", "no kubeconfig", "long"],
)
def test_it_is_one_sentence(message: str, sentence: str) -> None:
    assert kubernetes_said(message) == sentence
