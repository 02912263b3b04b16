"""A Pair whose gateways both use their kernel's IPsec and vti devices. Needs a kernel that has
them: tests/kernel/ runs inside of one."""
import os

from .ipsecd import Ipsecd
from .pair import Pair
from .strongswan import KernelCharon
from .tunnel import change, tunnel


def vti_tunnel(name, n, **fields):
    """Tunnel number n with vti devices on both ends: mark, key and names from n."""
    ours, theirs = tunnel(name, n, **fields)
    return change(ours, mark=n), change(theirs, mark=n)


class KernelPair(Pair):
    """`theirs`: KernelCharon, Libreswan, or Ipsecd for one of ours on both ends."""

    def __init__(self, tunnels, theirs=KernelCharon, setup="", **options):
        super().__init__(tunnels, **options)
        self.kind_of_theirs = theirs
        self.setup = setup  # lines of our config setup

    def _daemon(self, kind, index, *words, **options):
        folder = os.path.join(self.folder, ("ours", "theirs")[index])
        return kind(self.namespaces[index], folder, *words, **options)

    def _their_daemon(self, settings, retransmit_timeout):
        if self.kind_of_theirs is KernelCharon:
            return self._daemon(KernelCharon, 1, settings, retransmit_timeout)
        if self.kind_of_theirs is Ipsecd:
            return self._daemon(Ipsecd, 1, plane="kernel")
        return self._daemon(self.kind_of_theirs, 1)

    def _our_daemon(self, options):
        if os.environ.get("INTEROP_OURS") == "charon":
            return self._daemon(KernelCharon, 0)
        daemon = self._daemon(Ipsecd, 0, options, plane="kernel")
        daemon.setup = self.setup
        return daemon
