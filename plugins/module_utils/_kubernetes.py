# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""Kubernetes' API as this collection asks it: one question, one answer as plain data, or a reason why there is none.

The Python client ``kubernetes`` reads the kubeconfig and speaks HTTP; what it answers is not turned into its own types,
because decisions work on plain data that can be written into the journal.
"""

from __future__ import annotations

import json
import re
from typing import Any, Optional
from urllib.parse import urlencode

from ._errors import SelfhealError

try:
    import kubernetes.client
    import kubernetes.config
    import urllib3.exceptions
    import yaml

    IMPORT_ERROR: Optional[ImportError] = None
except ImportError as exc:
    IMPORT_ERROR = exc

REASONS = {
    400: "invalid",
    401: "not_authenticated",
    403: "not_authorized",
    404: "not_found",
    405: "not_supported",
    409: "conflict",
    410: "gone",
    422: "invalid",
    429: "too_many_requests",
}
JSON = "application/json"
MERGE_PATCH = "application/merge-patch+json"
#: What every module that asks Kubernetes takes (doc fragment ``kubernetes``).
ARGUMENTS: dict[str, dict[str, Any]] = {
    "kubeconfig": {"type": "path", "default": ""},
    "context": {"type": "str", "default": ""},
    "timeout": {"type": "float", "default": 5},
}


class KubernetesError(SelfhealError):
    """No usable answer came; ``reason`` is one word, ``status`` the HTTP status or 0.

    ``lost``: a change was sent, and nobody knows whether it was made.
    """

    def __init__(self, reason: str, message: str, status: int = 0, lost: bool = False) -> None:
        super().__init__(reason, message)
        self.status = status
        self.lost = lost


def said_by_server(body: str, status: int, what: str) -> KubernetesError:
    """The error of an answer that is no success: one sentence, without the repetitions of the server's own. Pure.

    The API server answers with an object ``Status`` (Kubernetes API conventions, "Response Status Kind").
    """
    try:
        told = json.loads(body)
    except ValueError:
        told = {}
    if not isinstance(told, dict):
        told = {}
    message = str(told.get("message") or body or "no reason given").strip()
    causes = (told.get("details") or {}).get("causes") or []
    if status == 422 and causes:
        message = "; ".join(
            f"{cause.get('field') or 'the object'}: {cause.get('message', '')}" for cause in causes if cause
        )
    message = re.sub(r"\s+", " ", message)[:500]
    reason = REASONS.get(status, "api_error")
    advice = {
        401: " Is the token or certificate still valid?",
        403: " The role of this account lacks that verb.",
    }.get(status, "")
    return KubernetesError(reason, f"{what}: {message.rstrip('.')}.{advice}", status)


class Api:
    """One API server, as one account."""

    def __init__(self, kubeconfig: str = "", context: str = "", timeout: float = 5.0) -> None:
        """Read the kubeconfig (empty: KUBECONFIG, then ~/.kube/config); nothing is asked yet. Seconds per request."""
        if IMPORT_ERROR is not None:
            raise KubernetesError(
                "no_client", f"The Python package 'kubernetes' is missing here: {IMPORT_ERROR}."
            ) from IMPORT_ERROR
        self.timeout = timeout
        settings: Any = kubernetes.client.Configuration()
        load: Any = kubernetes.config.load_kube_config
        try:
            load(config_file=kubeconfig or None, context=context or None, client_configuration=settings)
        except (kubernetes.config.ConfigException, yaml.YAMLError, OSError, ValueError, TypeError) as exc:
            raise KubernetesError("no_kubeconfig", f"The kubeconfig cannot be used: {brief(exc)}.") from exc
        self.server = str(settings.host).rstrip("/")
        self._settings = settings
        # The client reads the kubeconfig and knows how to prove who we are; its own way to ask differs between its
        # versions (32 and 37 take other arguments), the pool below it does not.
        self._pool = kubernetes.client.ApiClient(settings).rest_client.pool_manager

    def request(
        self, method: str, path: str, body: Any = None, content_type: str = JSON, raw: bool = False, **query: Any
    ) -> Any:
        """The answer's object (with ``raw`` its text), or :class:`KubernetesError`."""
        what = f"{method} {path}"
        given = {key: value for key, value in query.items() if value not in (None, "")}
        headers = {"Accept": "*/*" if raw else JSON, "Content-Type": content_type, "User-Agent": "selfheal.cluster"}
        try:
            for setting in self._settings.auth_settings().values():
                if setting["in"] == "header" and setting["value"]:
                    headers[setting["key"]] = setting["value"]
            answer = self._pool.request(
                method,
                f"{self.server}{path}" + (f"?{urlencode(given)}" if given else ""),
                body=None if body is None else json.dumps(body).encode(),
                headers=headers,
                timeout=self.timeout,
                retries=False,  # a heal that waits three times for an answer is not quicker
                redirect=False,
            )
            text, status = answer.data.decode("utf-8", "replace"), int(answer.status)
        except (urllib3.exceptions.HTTPError, OSError, ValueError) as exc:
            raise KubernetesError(
                "api_unreachable",
                f"{self.server} gives no answer to {what} within {self.timeout:g} s: {brief(exc)}.",
                lost=method != "GET",
            ) from exc
        if not 200 <= status < 300:
            error = said_by_server(text, status, what)
            error.lost = method != "GET" and status >= 500  # what failed may be the server behind, after the change
            raise error
        if raw:
            return text
        try:
            return json.loads(text) if text else {}
        except ValueError as exc:
            raise KubernetesError("api_error", f"{what}: the answer is no JSON.", status) from exc

    def get(self, path: str, **query: Any) -> dict[str, Any]:
        """One object."""
        return dict(self.request("GET", path, **query))

    def items(self, path: str, **query: Any) -> list[dict[str, Any]]:
        """All objects of a list; a list without items is empty."""
        return list(self.get(path, **query).get("items") or [])

    def patch(self, path: str, body: Any, **query: Any) -> dict[str, Any]:
        """Change fields of an object (JSON merge patch, RFC 7386)."""
        return dict(self.request("PATCH", path, body, MERGE_PATCH, **query))


def brief(exc: BaseException) -> str:
    """What went wrong on the way, without the address of objects and the repetitions of urllib3."""
    text = str(getattr(exc, "reason", "") or exc)
    text = re.sub(r"<[^>]*object at 0x[0-9a-f]+>:? ?", "", text)
    return re.sub(r"\s+", " ", text)[:200].rstrip(".") or type(exc).__name__


def selector_text(selector: Optional[dict[str, Any]]) -> str:
    """A label selector as the query parameter ``labelSelector`` has it. Pure."""
    parts = [f"{key}={value}" for key, value in sorted(((selector or {}).get("matchLabels") or {}).items())]
    for rule in (selector or {}).get("matchExpressions") or []:
        key, operator, values = rule.get("key"), rule.get("operator"), ",".join(rule.get("values") or [])
        parts.append(
            {
                "In": f"{key} in ({values})",
                "NotIn": f"{key} notin ({values})",
                "Exists": f"{key}",
                "DoesNotExist": f"!{key}",
            }[operator]
        )
    return ",".join(parts)
