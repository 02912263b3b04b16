#!/usr/bin/env python3
"""Scripts of many tunnels that come up and go down at the same time: each tunnel's runs are in
order and one at a time, none is left out, and no script decides about a link's state. Slow ones,
one that fails and one that asks the daemon meanwhile hold nobody up."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../.."))
from tests.support.ipsecd import Ipsecd  # noqa: E402
from tests.support.kernel_pair import KernelPair, vti_tunnel  # noqa: E402
from tests.support.poll import until  # noqa: E402
from tests.support.suite import Suite, check, check_equal  # noqa: E402
from tests.support.tunnel import change  # noqa: E402

COUNT = 12
PATIENT, SHORT = "updown-timeout=30s", "updown-timeout=3s"  # one emulated processor runs eight at once
# Begins and ends are told apart, so that two that overlap are seen.
SCRIPT = """#!/bin/sh
log={folder}/$PLUTO_CONNECTION
echo "begin $PLUTO_VERB $PLUTO_UNIQUEID" >>$log
{body}
echo "end $PLUTO_VERB $PLUTO_UNIQUEID" >>$log
"""


def names():
    return [f"t{n}" for n in range(1, COUNT + 1)]


def lines(pair, name):
    try:
        with open(os.path.join(pair.folder, name), encoding="utf-8") as file:
            return file.read().split("\n")[:-1]
    except FileNotFoundError:
        return []


def initiate_all(pair):
    for name in names():
        pair.ours.control.request("initiate", {"child": name, "ike": name, "timeout": -1})
    for name in names():
        pair.ours.wait_up(name, 30)


def devices_show(pair, state):
    for name in names():
        until(f"{name} is {state}", lambda n=name: pair.ours.operstate(
            pair.end(n, pair.ours).device) == state, 30)


def all_at_once(pair):
    """pain_03_updown_race: all up, all down, all up; in the end all links are UP, and every script
    saw up, down, up, each finished before the next began, with one PLUTO_UNIQUEID."""
    initiate_all(pair)
    for name in names():
        pair.theirs.terminate(name)
    for name in names():
        pair.ours.wait_down(name)
    initiate_all(pair)
    devices_show(pair, "UP")
    for name in names():
        until(f"three runs for {name}", lambda n=name: len(lines(pair, n)) == 6, 30)
        verbs = [line.split()[:2] for line in lines(pair, name)]
        check_equal(verbs, [[when, verb] for verb in ("up-client", "down-client", "up-client")
                            for when in ("begin", "end")], f"runs for {name}")
        check_equal(len({line.split()[2] for line in lines(pair, name)}), 1,
                    f"names of {name}: {lines(pair, name)}")
    ids = {lines(pair, name)[0].split()[2] for name in names()}
    check_equal(len(ids), COUNT, f"different PLUTO_UNIQUEIDs: {ids}")


def time_limit(pair, setup):
    pair.ours.setup = setup
    pair.ours.load(pair.ours.ends)


def slow_script(pair):
    """One that hangs: the other tunnels, and this one's packets, don't wait for it; it is ended
    at the time limit, and that is said."""
    name = names()[0]
    time_limit(pair, SHORT)
    write_script(pair, "exec sleep 1000")
    pair.theirs.terminate(name)
    pair.ours.wait_down(name)
    mark = pair.ours.log_mark()
    pair.ours.initiate(name)
    pair.ours.wait_up(name)
    pair.ping(name)
    pair.ping(names()[1])
    line = pair.ours.wait_log("took longer than", mark, 15)
    print(f"      {line}")
    time_limit(pair, PATIENT)


def failing_script(pair):
    """Its last line of output is in the log, and the tunnel is up."""
    name = names()[2]
    write_script(pair, "echo 'no such thing' >&2; exit 3")
    pair.theirs.terminate(name)
    pair.ours.wait_down(name)
    mark = pair.ours.log_mark()
    pair.ours.initiate(name)
    pair.ours.wait_up(name)
    print("     ", pair.ours.wait_log("no such thing", mark, 15))
    pair.ping(name)


def ups_done(pair, name):
    return sum(line.startswith("end up-client") for line in lines(pair, name))


def asking_script(pair):
    """A script may ask the daemon that runs it (with charon it waits for a lock that never
    opens)."""
    name = names()[3]
    program = os.path.join(os.path.dirname(pair.ours.binary), "ipsecctl")
    write_script(pair, f"{program} --vici {pair.ours.socket_path} status >{pair.folder}/asked 2>&1")
    pair.theirs.terminate(name)
    pair.ours.wait_down(name)
    before = ups_done(pair, name)
    pair.ours.initiate(name)
    until("the script is done", lambda: ups_done(pair, name) > before, 15)
    with open(os.path.join(pair.folder, "asked"), encoding="utf-8") as file:
        said = file.read()
    check(name in said, f"ipsecctl said: {said}")


def write_script(pair, body):
    path = os.path.join(pair.folder, "script")
    with open(path + ".new", "w", encoding="utf-8") as file:
        file.write(SCRIPT.format(folder=pair.folder, body=body))
    os.chmod(path + ".new", 0o755)
    os.rename(path + ".new", path)


class Scripted(KernelPair):
    """All of our conns have the script, which lies in the pair's folder."""

    def __init__(self):
        super().__init__([vti_tunnel(name, n) for n, name in enumerate(names(), 1)],
                         theirs=Ipsecd, setup=PATIENT)
        script = (f"leftupdown={os.path.join(self.folder, 'script')}",)
        self.tunnels = [(change(ours, extra=script), theirs) for ours, theirs in self.tunnels]
        write_script(self, "sleep 0.1")


def main():
    suite = Suite("updown")
    with Scripted() as pair:
        for name, function in (("pain_03_updown_race: twelve tunnels at once", all_at_once),
                               ("a script that hangs", slow_script),
                               ("a script that fails", failing_script),
                               ("pain_04_hook_deadlock: a script asks the daemon", asking_script)):
            suite.case(name, function, pair, logs=(pair.ours,))
    return suite.finish()


if __name__ == "__main__":
    sys.exit(main())
