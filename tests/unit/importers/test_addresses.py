"""Which addresses are whose; that connections are really refused is tested in tests/integration/sources."""

import ipaddress

import pytest

from policy_server.importers.addresses import Addresses, AddressRefused, Guard, kind_of

KINDS = {
    "public": ("93.184.215.14", "2606:2800:21f:cb07::1", "::ffff:93.184.215.14", "64:ff9b::5db8:d70e"),
    "private": ("10.1.2.3", "172.16.0.1", "192.168.1.1", "100.64.0.1", "fc00::1", "fec0::1", "::ffff:10.1.2.3"),
    "loopback": ("127.0.0.1", "127.8.9.1", "::1", "::ffff:127.0.0.1", "64:ff9b::7f00:1"),
    "link-local": ("169.254.0.1", "169.254.170.2", "fe80::1", "fe80::1%eth0", "::ffff:169.254.1.1"),
    "metadata": (
        *("169.254.169.254", "::ffff:169.254.169.254", "64:ff9b::a9fe:a9fe", "64:ff9b:1::a9fe:a9fe"),
        *("fd00:ec2::254", "fd20:ce::254", "100.100.100.200", "168.63.129.16", "192.0.0.192"),
    ),
    "unspecified": ("0.0.0.0", "::", "::ffff:0.0.0.0"),
    "multicast": ("224.0.0.1", "ff02::1"),
    "reserved": ("240.0.0.1", "255.255.255.255", "0.1.2.3", "::127.0.0.1"),
    "tunnel": ("2002:7f00:1::1", "2001:0:7f00:1::1"),
}


@pytest.mark.parametrize(("kind", "address"), [(kind, one) for kind, several in KINDS.items() for one in several])
def test_an_address_is_of_a_kind_also_inside_another(kind: str, address: str) -> None:
    assert kind_of(ipaddress.ip_address(address)) == kind


@pytest.mark.parametrize("kind", KINDS)
def test_nobody_reaches_more_than_public_and_private_addresses(kind: str) -> None:
    allowed = {Addresses.PUBLIC: {"public"}, Addresses.PRIVATE: {"public", "private"}}
    for addresses, kinds in allowed.items():
        for address in KINDS[kind]:
            guard = Guard(addresses)
            if kind in kinds:
                guard.require_allowed((address, 80))
                assert guard.refused == []
            else:
                with pytest.raises(AddressRefused, match=kind):
                    guard.require_allowed((address, 80, 0, 0))
                assert kind in guard.refused[0]


@pytest.mark.parametrize("target", [("models.example", 80), ("", 80), "/run/a.sock", b"\0abstract", (16, 0), ()])
def test_what_is_no_address_yet_is_refused(target: object) -> None:
    with pytest.raises(AddressRefused):
        Guard(Addresses.PRIVATE).require_allowed(target)
