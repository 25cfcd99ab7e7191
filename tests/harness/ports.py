"""Ports for the programs under test. Several gateways may share a port by design (SO_REUSEPORT),
and a program that is killed comes back to its own, so no other test may get it meanwhile, in this
process or in another: whoever takes a port holds a name in the kernel for as long as it lives.
They are counted up, below the range the kernel hands out itself."""
import itertools
import os
import socket

_ports = itertools.count(20000 + os.getpid() * 7 % 8000)
_held = []


def free_port():
    for port in _ports:
        name = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        try:
            name.bind(f"\0callgate-test-port-{port}")
            with socket.socket() as probe:
                probe.bind(("127.0.0.1", port))
        except OSError:
            name.close()
            continue
        _held.append(name)
        return port
