"""One POST to a portal: requests' Session, and what its errors prove of what the portal has seen."""

from __future__ import annotations

import re
import traceback
from typing import Any

import requests
from urllib3.exceptions import ConnectTimeoutError, NameResolutionError, NewConnectionError

from b24sync.transport.masking import MASK
from b24sync.transport.outcomes import Phase, Verdict, judge_break

CONNECT_TIMEOUT_S = 5.0
USER_AGENT = "b24sync/0.1"


class PortalSession:
    """Keep-alive to one portal; as thread-safe as requests.Session is."""

    def __init__(self, session: requests.Session | None, *, is_loopback: bool) -> None:
        self._session = session or requests.Session()
        self._session.headers.update({"User-Agent": USER_AGENT, "Accept": "application/json"})
        # Proxies of the environment are used for real portals, never for loopback; .netrc never: the URL is
        # the credential, and a login added to it would be somebody else's.
        self._session.trust_env = not is_loopback
        self._session.auth = _no_login

    def post(self, url: str, body: bytes, read_timeout_s: float) -> requests.Response | Verdict:
        """The answer, redirects too; or the verdict on a connection that broke."""
        try:
            return self._session.post(
                url,
                data=body,
                headers={"Content-Type": "application/json"},
                timeout=(CONNECT_TIMEOUT_S, read_timeout_s),
                allow_redirects=False,
            )
        except requests.RequestException as error:
            # The exception's text carries the URL and so the credential: masked here, and not chained.
            return judge_break(_phase_of(error), MASK.hide(_last_words(error)))


def _no_login(request: requests.PreparedRequest) -> requests.PreparedRequest:
    return request


def _phase_of(error: requests.RequestException) -> Phase:
    """CONNECT only where it is proven that no byte of the request left."""
    if isinstance(error, requests.exceptions.ConnectTimeout | requests.exceptions.ProxyError) or _in_handshake(error):
        return Phase.CONNECT
    cause: Any = error.args[0] if error.args else None
    reason = getattr(cause, "reason", cause)
    if isinstance(reason, NewConnectionError | NameResolutionError | ConnectTimeoutError):
        return Phase.CONNECT
    return Phase.SEND


def _in_handshake(error: BaseException) -> bool:
    """Whether the TLS handshake raised it. Its type does not say: a record broken in an answer is an SSLError too."""
    at: BaseException | None = error
    while at is not None:
        if any(frame.f_code.co_name == "do_handshake" for frame, _ in traceback.walk_tb(at.__traceback__)):
            return True
        at = at.__cause__ or at.__context__
    return False


def _last_words(error: requests.RequestException) -> str:
    cause: Any = error.args[0] if error.args else error
    reason = getattr(cause, "reason", cause)
    # "HTTPSConnection(host='...', port=443): ... [Errno 111] Connection refused" is not for people.
    return re.sub(r"\w*Connection\w*\(host=[^)]*\): |\[Errno -?\d+\] ", "", f"{type(error).__name__}: {reason}")
