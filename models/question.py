"""What a running job asks a tracking server every two seconds, at a quarter of what MLflow's client spends on it.

MLflow looks for credentials, proxies and notebooks of other makers at every request, which is most of its cost. Here
the first question goes that way, and what was found is sent again over the connection that is kept. Whatever the
server then does not answer plainly is asked the whole way again: credentials may have changed.
"""

from __future__ import annotations

from typing import Any

__all__ = ["AliasQuestion"]

ENDPOINT = "/api/2.0/mlflow/registered-models/get"
ANSWERED, ABSENT = 200, 404
WAIT_SECONDS = 15.0


class AliasQuestion:
    """Asks one tracking server which version each alias of a model points at.

    Parameters
    ----------
    uri
        Its address, http or https.
    name
        Registered name of the model.
    """

    def __init__(self, uri: str, name: str) -> None:
        self._uri, self._name = uri, name
        self._session: Any = None
        self._known: tuple[Any, dict[str, Any]] | None = None

    def ask(self) -> dict[str, str]:
        """Version numbers by alias; empty for a model that nobody has registered.

        Raises
        ------
        MlflowException, OSError
            Nobody answers, or with a failure.
        """
        answer = self._again() or self._whole_way()
        if answer.status_code == ABSENT:
            return {}
        aliases = answer.json()["registered_model"].get("aliases", [])
        return {one["alias"]: str(one["version"]) for one in aliases}

    def _again(self) -> Any:
        """The answer to what was asked before; None where nothing was, or where it is not answered any more."""
        if self._known is None:
            return None
        from requests.exceptions import ConnectionError as Broken

        request, settings = self._known
        try:
            answer = self._session.send(request, timeout=WAIT_SECONDS, **settings)
        except Broken:  # servers close connections that were quiet for a while
            return None
        return answer if _is_plain(answer) else None

    def _whole_way(self) -> Any:
        import requests
        from mlflow.utils.credentials import get_default_host_creds
        from mlflow.utils.rest_utils import http_request, verify_rest_response

        who = get_default_host_creds(self._uri)  # type: ignore[no-untyped-call]
        answer = http_request(who, ENDPOINT, "GET", params={"name": self._name})  # type: ignore[no-untyped-call]
        if not _is_plain(answer):
            self._known = None
            verify_rest_response(answer, ENDPOINT)
        if self._session is None:
            self._session = requests.Session()
        settings = self._session.merge_environment_settings(
            answer.request.url, {}, False, who.verify, who.client_cert_path
        )
        self._known = answer.request, settings
        return answer


def _is_plain(answer: Any) -> bool:
    """Whether the server told of the model, or that there is none."""
    if answer.status_code == ABSENT:
        return bool("RESOURCE_DOES_NOT_EXIST" in answer.text)
    return bool(answer.status_code == ANSWERED)
