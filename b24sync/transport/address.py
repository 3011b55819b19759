"""Where the portal lives, and where a 302 may send us (settings/how-to-call-rest-api/change-domen.md).

A renamed portal answers 302 on its old address, also to POST. Only the host is swapped: the path carries
the credential, so it goes to the same domain family, to loopback, or to hosts that the configuration names.
"""

from __future__ import annotations

from urllib.parse import SplitResult, urlsplit, urlunsplit

from b24sync.config import is_loopback
from b24sync.errors import ConfigError, PortalBlocked
from b24sync.store.engine import Store
from b24sync.store.portals import known_addresses, note_address

_PUBLIC = frozenset({"ac", "co", "com", "edu", "gov", "msk", "net", "org", "spb"})
"""Second-level names under which anybody can have a domain: example.co.uk and other.co.uk are no family."""


class Address:
    """The webhook's URL with the host that answers today."""

    def __init__(self, store: Store, portal: str, webhook: str, allowed_hosts: tuple[str, ...]) -> None:
        self._store = store
        self._portal = portal
        self._allowed = {host.lower() for host in allowed_hosts}
        self._configured = urlsplit(webhook)
        self._netloc = self._configured.netloc
        self._noted = False
        self._recall()

    def url(self, method: str) -> str:
        path = self._configured.path.rstrip("/") + "/" + method + ".json"
        return urlunsplit((self._configured.scheme, self._netloc, path, "", ""))

    @property
    def host(self) -> str:
        return self._netloc

    @property
    def is_loopback(self) -> bool:
        return is_loopback(self._configured.hostname or "")

    def note(self, at: float) -> None:
        """After the first answer: from now on this portal's name belongs to this host."""
        if not self._noted:
            note_address(self._store, self._portal, address=self._netloc, configured=self._configured.netloc, at=at)
            self._noted = True

    def follow(self, location: str, at: float) -> None:
        """Move to the host of a 302's Location. Raises PortalBlocked when that is not the portal's family."""
        target = _parsed(location)
        wanted = target.hostname or ""
        downgrade = self._configured.scheme == "https" and target.scheme != "https"
        if not wanted or downgrade or not self._is_family(wanted):
            raise PortalBlocked(
                f"The portal {self._netloc} answered that it moved to {wanted or location!r}"
                f"{' over plain http' if downgrade else ''}, which is not its own domain family. If that is right, "
                "put the host into [portal] hosts, or the new webhook into the configuration."
            )
        host = f"[{wanted}]" if ":" in wanted else wanted
        self._netloc = f"{host}:{target.port}" if target.port else host
        self._noted = False
        self.note(at)

    def _is_family(self, host: str) -> bool:
        present = (urlsplit(f"//{self._netloc}").hostname or "").lower()
        host = host.lower()
        if host in self._allowed or host == present:
            return True
        if is_loopback(present) or is_loopback(host):
            return is_loopback(present) and is_loopback(host)
        family = present.split(".", 1)[-1]
        return _is_one_owners(family) and host.endswith("." + family)

    def _recall(self) -> None:
        known = known_addresses(self._store, self._portal)
        if known is None:
            return
        used, configured = known
        if configured == self._configured.netloc:
            self._netloc = used
            self._noted = True
            return
        now_host, then_host, used_host = (
            urlsplit(f"//{netloc}").hostname for netloc in (self._configured.netloc, configured, used)
        )
        if now_host not in (then_host, used_host):
            raise ConfigError(
                f"The store knows portal {self._portal!r} as {used}, the configuration says {self._configured.netloc}.",
                [
                    "a rehearsal must not pass for the client's portal: use another [store] url, "
                    "or another name under [portals.NAME]"
                ],
            )


def _parsed(location: str) -> SplitResult:
    """A Location header; what is no URL has no host."""
    try:
        parts = urlsplit(location)
        _ = parts.port  # read here, because a port that is no number shows only then
    except ValueError:
        return SplitResult("", "", "", "", "")
    return parts


def _is_one_owners(family: str) -> bool:
    """Whether the names under `family` belong together: not under com, co.uk or a piece of an IP address."""
    first, _, rest = family.partition(".")
    return bool(rest) and not rest.split(".")[-1].isdigit() and first not in _PUBLIC
