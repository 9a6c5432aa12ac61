"""Where a fetch may connect to, where the URI is written by somebody who mustn't reach all that this machine reaches.

A name may resolve to any address and a server may redirect to any other, so neither is what is judged: each address is,
as the process connects to it. Between the judgement and the connection nothing resolves a name again.
"""

import ipaddress
import os
import sys
from enum import StrEnum
from typing import Any

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

_METADATA = frozenset(
    ipaddress.ip_address(address)
    for address in (
        "169.254.169.254",
        "fd00:ec2::254",  # AWS
        "fd00:ec2::23",  # AWS, the identities of pods
        "fd20:ce::254",  # Google
        "100.100.100.200",  # Alibaba
        "168.63.129.16",  # Azure's host, at a public address
        "192.0.0.192",  # Oracle
    )
)
"""Where clouds hand their credentials to whoever asks; some of them aren't link-local."""
_TRANSLATED = tuple(ipaddress.IPv6Network(network) for network in ("64:ff9b::/96", "64:ff9b:1::/48"))
"""NAT64 (RFC 6052, RFC 8215): the last four bytes are the IPv4 address that is reached."""


class Addresses(StrEnum):
    """What may be connected to; loopback, link-local and their like only with the first."""

    ANY = "any"
    PRIVATE = "private"
    PUBLIC = "public"


class AddressRefused(ConnectionRefusedError):
    """A connection that isn't made; a kind of OSError, so that libraries try a host's next address."""


def kind_of(address: Address) -> str:
    """Returns `public`, `private`, or the name of what nobody may reach who only names a URI."""
    if isinstance(address, ipaddress.IPv6Address):
        if address.sixtofour is not None or address.teredo is not None:
            return "tunnel"
        embedded = address.ipv4_mapped
        if embedded is None and any(address in network for network in _TRANSLATED):
            embedded = ipaddress.IPv4Address(address.packed[-4:])
        if embedded is not None:
            return kind_of(embedded)
        address = ipaddress.IPv6Address(address.packed)  # without the name of an interface
    special = {
        "metadata": address in _METADATA,
        "unspecified": address.is_unspecified,
        "loopback": address.is_loopback,
        "link-local": address.is_link_local,
        "multicast": address.is_multicast,
        "reserved": address.is_reserved or address in ipaddress.ip_network("0.0.0.0/8"),
    }
    if kind := next((name for name, holds in special.items() if holds), None):
        return kind
    site_local = isinstance(address, ipaddress.IPv6Address) and address.is_site_local
    return "public" if address.is_global and not site_local else "private"


class Guard:
    """Refuses connections of this process, of all its libraries, for as long as it lives.

    Libraries that connect without Python's sockets (gRPC, some in Rust) are not seen: no file system that is opened
    under a guard may use one.
    """

    def __init__(self, allowed: Addresses) -> None:
        self._allowed = {"public"} if allowed is Addresses.PUBLIC else {"public", "private"}
        self.refused: list[str] = []
        """What was refused, and why, in words."""

    def install(self) -> None:
        """Begins; there is no end to it, as Python's audit hooks have none."""
        for name in list(os.environ):
            if name.lower().endswith("_proxy"):  # it would connect in our stead, to what nobody has judged
                del os.environ[name]
        sys.addaudithook(self._audit)

    def _audit(self, event: str, arguments: tuple[Any, ...]) -> None:
        # Without an address, sendmsg goes where the socket is connected to already.
        if event in ("socket.connect", "socket.sendto", "socket.sendmsg") and arguments[1] is not None:
            self.require_allowed(arguments[1])

    def require_allowed(self, target: object) -> None:
        """Raises AddressRefused unless `target`, as sockets take it, is an address that may be connected to."""
        host = target[0] if isinstance(target, tuple) and target else target
        try:
            address = ipaddress.ip_address(host if isinstance(host, str) else "")
        except ValueError:  # a name, which would be resolved after this judgement, or no address of the internet
            self._refuse("something that is no address of the internet")
        else:
            kind = kind_of(address)
            if kind not in self._allowed:
                self._refuse(f"{address}, a {kind} address")

    def _refuse(self, what: str) -> None:
        self.refused.append(what)
        raise AddressRefused(f"refused to connect to {what}")
