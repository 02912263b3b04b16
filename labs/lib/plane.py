"""Where a lab's data plane finds a kernel it can work with: this machine's own or, for the
kernel's IPsec when this one has none, User Mode Linux."""
import os
import subprocess

from shell import inside, run, say

PLANES = ("userspace", "kernel")
TIMEOUT = 900
INSIDE = "DETOUR_LAB_IN_UML"
UML_PATIENCE_MS = 900
RATE_DIVISOR = 4
TOPOLOGY_BFD = {"interval": 50, "multiplier": 3}  # what it writes when the file says nothing

# What ipsecd needs of the kernel, tried in a namespace that goes at once.
TRIES = (
    ["ip", "link", "add", "name", "vti-probe", "type", "vti", "local", "192.0.2.1", "remote",
     "192.0.2.2", "key", "1"],
    ["ip", "xfrm", "state", "add", "src", "192.0.2.1", "dst", "192.0.2.2", "proto", "esp", "spi",
     "0x100", "mode", "tunnel", "aead", "rfc4106(gcm(aes))", "0x" + "00" * 20, "128"],
)


def kernel_works():
    """Finds out by trying: vti devices and ESP states."""
    namespace = f"detour-probe-{os.getpid()}"
    run(["ip", "netns", "add", namespace], quiet=True)
    try:
        return all(subprocess.run(inside(namespace, words), capture_output=True).returncode == 0
                   for words in TRIES)
    finally:
        run(["ip", "netns", "delete", namespace], quiet=True)


def run_in_uml(top, words, runs):
    """Runs `words` there; its end is ours, and Ctrl-C ends the whole kernel."""
    runner = f"{top}/tests/kernel/uml"
    say("  this machine's kernel lacks vti or ESP: the lab runs in User Mode Linux\n")
    os.environ[INSIDE] = "1"
    os.execv(runner, [runner, "--first", "--timeout", str(TIMEOUT * runs), "--"] + words)


def in_uml():
    return bool(os.environ.get(INSIDE))


def rate(wanted):
    """Of the probe. At a thousand a second the emulated processor has little time left, on a busy
    machine none, and what is late then is no fault of the routers."""
    if not in_uml():
        return wanted
    say(f"   the probe sends {wanted // RATE_DIVISOR} datagrams a second here")
    return wanted // RATE_DIVISOR


def first(patience_ms):
    """What leads the command of a daemon that others wait for when a tunnel goes. In User Mode
    Linux the daemons of all sites have one slow processor between them, as sites never have: who
    takes part in the failover goes before who just hears of it. Only where BFD does not wait for
    long, for a look at gaps: a daemon that starts in real time stops all others for half a second."""
    return ["chrt", "--rr", "1"] if in_uml() and patience_ms < UML_PATIENCE_MS else []


def patience(milliseconds):
    """So long does BFD wait at least. In User Mode Linux one emulated processor has all the work."""
    return max(milliseconds, UML_PATIENCE_MS if in_uml() else 0)


def patient(bfd, milliseconds):
    """All sites and the probe share one machine, whose stalls are no cuts: BFD waits so long
    at least."""
    multiplier = -(-milliseconds // bfd.get("interval", TOPOLOGY_BFD["interval"]))
    if multiplier <= bfd.get("multiplier", TOPOLOGY_BFD["multiplier"]):
        return bfd
    say(f"   BFD waits for {multiplier} packets here")
    return dict(bfd, multiplier=multiplier)
