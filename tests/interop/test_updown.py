#!/usr/bin/env python3
"""updown scripts: when they run, in which order and with which variables, and that one that
fails, hangs or floods the log harms no tunnel.
"""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../.."))
from tests.support.pair import Pair, one_of_each  # noqa: E402
from tests.support.poll import until  # noqa: E402
from tests.support.rekeying import child_spis, ike_spis, rekeyed  # noqa: E402
from tests.support.suite import Suite, check, check_equal  # noqa: E402
from tests.support.tunnel import change, tunnel  # noqa: E402

SCRIPT = """#!/bin/sh
env >>"{folder}/$PLUTO_CONNECTION.env"
echo "$PLUTO_VERB" >>"{folder}/$PLUTO_CONNECTION"
"""


class Scripts:
    """The script of a connection and what it wrote down."""

    def __init__(self, pair):
        self.folder = pair.folder
        with open(self.path("script"), "w", encoding="utf-8") as file:
            file.write(SCRIPT.format(folder=self.folder))
        os.chmod(self.path("script"), 0o700)

    def path(self, name):
        return os.path.join(self.folder, name)

    def verbs(self, name):
        try:
            with open(self.path(name), encoding="utf-8") as file:
                return file.read().split()
        except FileNotFoundError:
            return []

    def wait(self, name, wanted):
        until(f"the script of {name} has run: {' '.join(wanted)}",
              lambda: self.verbs(name) == wanted, 20)

    def value(self, name, variable):
        """What the last run was told."""
        with open(self.path(name + ".env"), encoding="utf-8") as file:
            values = dict(line.split("=", 1) for line in file.read().splitlines() if "=" in line)
        return values.get(variable)

    def forget(self, name):
        for file in (name, name + ".env"):
            if os.path.exists(self.path(file)):
                os.unlink(self.path(file))


def up_rekey_down(pair, scripts, name):
    """Once up and once down, and nothing of what is between."""
    scripts.forget(name)
    pair.ours.initiate(name)
    pair.both_up(name)
    both = ["up-client", "up-client-v6"]
    scripts.wait(name, both)
    end = pair.end(name, pair.ours)
    check_equal(scripts.value(name, "PLUTO_ME"), end.local, "PLUTO_ME")
    check_equal(scripts.value(name, "PLUTO_PEER"), end.remote, "PLUTO_PEER")
    check_equal(scripts.value(name, "PLUTO_PEER_ID"), end.remote_id, "PLUTO_PEER_ID")
    check_equal(scripts.value(name, "PLUTO_PEER_CLIENT"), end.remote_ts.split(",")[1],
                "PLUTO_PEER_CLIENT")
    check_equal(scripts.value(name, "PLUTO_INTERFACE"), "eth0", "PLUTO_INTERFACE")
    check_equal(scripts.value(name, "PLUTO_VIRT_INTERFACE"), end.device, "PLUTO_VIRT_INTERFACE")
    unique = scripts.value(name, "PLUTO_UNIQUEID")
    for start, spis in ((pair.ours.rekey_child, child_spis), (pair.theirs.rekey_child, child_spis),
                        (pair.ours.rekey_ike, ike_spis)):
        rekeyed(pair, name, start, spis)
        one_of_each(pair.ours, name)
        pair.ping(name)
    check_equal(scripts.verbs(name), both, "runs after rekeys")
    pair.theirs.terminate(name)
    pair.both_down(name)
    scripts.wait(name, [*both, "down-client", "down-client-v6"])
    check_equal(scripts.value(name, "PLUTO_UNIQUEID"), unique, "PLUTO_UNIQUEID")


def shutdown_waits(pair, scripts, name):
    """SIGTERM: the daemon ends when the scripts have undone what they did."""
    scripts.forget(name)
    pair.ours.initiate(name)
    pair.both_up(name)
    scripts.wait(name, ["up-client", "up-client-v6"])
    check_equal(pair.ours.stop(), 0, "exit status")
    check_equal(scripts.verbs(name)[2:], ["down-client", "down-client-v6"], "runs at the end")
    pair.theirs.wait_down(name)
    pair.ours.start(pair.ours.ends)


def bad_scripts(pair, name):
    """One that fails, hangs past its time and floods: the tunnels carry on."""
    mark = pair.ours.log_mark()
    pair.ours.initiate(name)
    pair.both_up(name)
    pair.ping(name)
    line = pair.ours.wait_log("took longer than 2 s and was killed", mark, 30)
    check("up-client" in line and "hanging" in line, f"the log says which: {line}")
    pair.ping(name)
    pair.theirs.terminate(name)
    pair.ours.wait_log("failed with exit status 3: no good", mark, 30)
    pair.both_down(name)
    check(pair.ours.log(mark).count("flood") < 200, "the flood was thinned")


def missing_script(pair, name):
    mark = pair.ours.log_mark()
    with pair.up(name, pair.theirs):
        pair.ours.wait_log("failed with exit status 127", mark)


BAD = ('/bin/sh -c \'if [ "$PLUTO_VERB" = up-client ]; then echo hanging; sleep 100; '
       'else yes flood | head -n 10000; echo no good; exit 3; fi\'')


def main(pair_kind=Pair, tunnel_of=tunnel):
    suite = Suite("updown")
    tunnels = [tunnel_of("both", 1, inside=(4, 6)), tunnel_of("bad", 2), tunnel_of("missing", 3)]
    with pair_kind(tunnels) as pair:
        scripts = Scripts(pair)
        commands = {"both": scripts.path("script"), "bad": BAD, "missing": "/nowhere/script"}
        ends = [change(ours, extra=(f"leftupdown={quoted(commands[ours.name])}",))
                for ours, _ in pair.tunnels]
        pair.ours.setup = "updown-timeout=2s"
        pair.ours.load(ends)
        for name, function, *args in (
                ("up, rekeys, down", up_rekey_down, pair, scripts, "both"),
                ("bad scripts", bad_scripts, pair, "bad"),
                ("a missing script", missing_script, pair, "missing"),
                ("the daemon's end", shutdown_waits, pair, scripts, "both")):
            suite.case(name, function, *args, logs=(pair.ours,))
    return suite.finish()


def quoted(text):
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


if __name__ == "__main__":
    sys.exit(main())
