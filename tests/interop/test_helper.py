#!/usr/bin/env python3
"""The helper of ipsecd: ike, which talks to strangers, works with secrets that are not in
its memory, names that it does not resolve, files that it does not read and scripts that it can't
run; and a helper that is killed at any moment costs nothing.
"""
import os
import random
import re
import secrets
import select
import signal
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../.."))
from tests.support.pair import Pair  # noqa: E402
from tests.support.poll import Timeout, until  # noqa: E402
from tests.support.process import memory_has  # noqa: E402
from tests.support.suite import Suite, check, check_equal  # noqa: E402
from tests.support.tunnel import change, tunnel  # noqa: E402

SEED = int(os.environ.get("SEED", "5"))
KILLS = 40
SCRIPT = """#!/bin/sh
echo "$PLUTO_VERB" >>"{folder}/$PLUTO_CONNECTION"
"""


def no_secret_in_ike(pair, names):
    """Neither before nor after they were used, nor what a client loaded."""
    words = [pair.end(name, pair.ours).secret for name in names]
    for name in names:
        with pair.up(name, pair.ours):
            pair.ping(name)
        with pair.up(name, pair.theirs):
            pair.ping(name)
    of_client = "client-" + secrets.token_hex(16)
    pair.ours.control.request("load-shared", {"id": "a", "type": "ike", "data": of_client,
                                              "owners": ["nobody.example"]})
    check_equal(pair.ours.control.request("get-shared")["keys"], ["a"], "get-shared")
    pids = pair.ours.roles()
    check_equal(memory_has(pids["helper"], [*words, of_client]), {*words, of_client},
                "secrets in helper")
    check_equal(memory_has(pids["ike"], [*words, of_client]), set(), "secrets in ike")
    check_equal(memory_has(pids["plane"], [*words, of_client]), set(), "secrets in plane")


def reload_secret(pair, name):
    """Another secret in the file: the next IKE_SA is made with it; and errors change nothing."""
    ours, theirs = (change(pair.end(name, p), secret="other-" + secrets.token_hex(16))
                    for p in (pair.ours, pair.theirs))
    theirs = change(theirs, secret=ours.secret)
    ends = [ours if end.name == name else end for end in pair.ours.ends]
    mark = pair.ours.log_mark()
    pair.ours.load(ends)
    pair.ours.wait_log("configuration in force", mark)
    check("AUTHENTICATION_FAILED" in pair.ours.try_initiate(name), "another secret at our end")
    pair.theirs.load([theirs if t.name == name else t for _, t in pair.tunnels])
    with pair.up(name, pair.ours):
        check_equal(memory_has(pair.ours.role("ike"), [ours.secret]), set(), "secrets in ike")
    with open(pair.ours.path("ipsec.conf"), encoding="utf-8") as file:
        good = file.read()
    mark = pair.ours.log_mark()
    pair.ours.write("ipsec.conf", good + "    lefft=1.2.3.4\n")
    pair.ours.daemon.kill(signal.SIGHUP)
    line = pair.ours.wait_log("unknown keyword", mark)
    check(re.search(r"ipsec\.conf:\d+:5: ", line), f"the log says where: {line}")
    pair.ours.wait_log("nothing was changed", mark)
    failure = ""
    try:
        pair.ours.control.request("reload-settings")
    except Exception as error:  # pylint: disable=broad-except
        failure = str(error)
    check("nothing was changed" in failure, f"reload-settings: {failure}")
    pair.ours.write("ipsec.conf", good)
    pair.ours.control.request("reload-settings")
    with pair.up(name, pair.ours):
        pass


def replaced_secrets_go(pair, name):
    """From all memory at once, however they were replaced: by a reload, or by a client."""
    end, ours = pair.end(name, pair.ours), pair.ours
    words = ["other-" + secrets.token_hex(16) for _ in range(4)]

    def held():
        return {role: memory_has(pid, words) for role, pid in ours.roles().items()}

    def wait(word):
        until(f"'{word}' alone in helper", lambda: held() == {"ike": set(), "plane": set(),
                                                             "helper": {word} if word else set()})
    for word in words[:2]:
        mark = ours.log_mark()
        ours.load([change(e, secret=word) if e.name == name else e for e in ours.ends])
        ours.wait_log("configuration in force", mark)
        wait(word)
    ours.load([change(e, secret=end.secret) if e.name == name else e for e in ours.ends])
    wait(None)
    for word in words[2:]:
        ours.control.request("load-shared", {"id": "again", "type": "ike", "data": word, "owners": ["nobody.example"]})
        wait(word)
    ours.control.request("unload-shared", {"id": "again"})
    wait(None)


def by_name(pair, name):
    """right= is a name, which /etc/hosts of the namespace has."""
    folder = f"/etc/netns/{pair.namespaces[0].name}"
    end = pair.end(name, pair.ours)
    os.makedirs(folder)
    try:
        with open(f"{folder}/hosts", "w", encoding="utf-8") as file:
            file.write(f"127.0.0.1 localhost\n{end.remote} theirs.test\n")
        pair.ours.stop()
        ends = pair.ours.ends
        pair.ours.start([change(e, remote="theirs.test") if e.name == name else e for e in ends])
        with pair.up(name, pair.ours):
            pass
    finally:
        os.unlink(f"{folder}/hosts")
        os.rmdir(folder)
    pair.ours.load(ends)


def foreign_script(pair, name):
    """A vici client's connection may not run what lies anywhere."""
    end = pair.end(name, pair.ours)
    pair.ours.load([e for e in pair.ours.ends if e.name != name])
    pair.ours.control.request("load-conn", {name: {
        "version": "2", "local_addrs": [end.local], "remote_addrs": [end.remote],
        "proposals": [end.ike], "local": {"auth": "psk", "id": end.local_id},
        "remote": {"auth": "psk", "id": end.remote_id},
        "children": {name: {"local_ts": [end.local_ts], "remote_ts": [end.remote_ts],
                            "esp_proposals": [end.esp], "updown": "/tmp/evil"}}}})
    pair.ours.control.request("load-shared", {"id": "b", "type": "ike", "data": end.secret,
                                              "owners": [end.local_id, end.remote_id]})
    mark = pair.ours.log_mark()
    pair.ours.initiate(name)
    line = pair.ours.wait_log("is not run", mark)
    check("'/tmp/evil'" in line and "/etc/swanctl" in line, line)
    check_equal(memory_has(pair.ours.role("ike"), [end.secret]), set(), "secrets in ike")
    pair.theirs.terminate(name)
    pair.both_down(name)


def verbs(pair, name):
    try:
        with open(os.path.join(pair.folder, name), encoding="utf-8") as file:
            return file.read().split()
    except FileNotFoundError:
        return []


def killed(pair, name):
    """At random moments of starts and ends: the tunnel comes up and goes, each script runs once."""
    chance = random.Random(SEED)
    rounds, kills = 0, 0
    while kills < KILLS:
        rounds += 1
        for kill in range(chance.randrange(1, 4)):
            del kill
            pid = until("a helper", lambda: pair.ours.roles().get("helper"))
            select.select([], [], [], chance.random() * 0.03)
            try:
                os.kill(pid, signal.SIGKILL)
                kills += 1
            except ProcessLookupError:
                pass
        who = pair.ours if chance.random() < .5 else pair.theirs
        try:
            who.initiate(name, 0.5)
        except Exception:  # pylint: disable=broad-except
            pass  # it goes on trying, or we do
        try:
            pair.both_up(name, 3)
        except Timeout:
            pair.ours.initiate(name, 20)
            pair.both_up(name, 20)
        pair.ping(name)
        pair.theirs.terminate(name)
        pair.both_down(name, 20)
    until("all scripts have run",
          lambda: verbs(pair, name) == ["up-client", "down-client"] * (len(verbs(pair, name)) // 2)
          and len(verbs(pair, name)) >= 2 * rounds, 20)
    print(f"      seed {SEED}: {kills} kills in {rounds} rounds")


class Heard:
    """What the kernel tells of devices and addresses in our namespace."""

    def __init__(self, pair):
        self.space, self.path = pair.ours.namespace, os.path.join(pair.folder, "heard")
        self.fence, self.process = 0, None

    def __enter__(self):
        with open(self.path, "wb") as file:
            self.process = subprocess.Popen(["ip", "-n", self.space.name, "-o", "monitor", "link", "address"],
                                            stdout=file)
        until("ip monitor hears", lambda: self.raise_fence() and "10.99." in self.text(), interval=0.1)
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait()

    def raise_fence(self):
        """An address that is told of behind all before now."""
        self.fence += 1
        mark = f"10.99.{self.fence >> 8}.{self.fence & 255}/32"
        self.space.ip("address", "add", mark, "dev", "lo")
        return mark

    def text(self):
        with open(self.path, encoding="ascii", errors="replace") as file:
            return file.read()

    def lines(self):
        """All before now: an address of ours is the last one."""
        mark = self.raise_fence()

        def read():
            lines = self.text().splitlines()
            return lines if any(mark in line for line in lines) else None
        return [line for line in until("the fence is heard", read) if " lo " not in line]

    def quiet(self):
        """Addresses of new devices are told again for some seconds."""
        seen, since = -1, time.monotonic()
        while time.monotonic() - since < 3:
            if len(self.lines()) != seen:
                seen, since = len(self.lines()), time.monotonic()
            select.select((), (), (), 0.5)
        return seen


def one_of_them(pair, name, other):
    """A reload that changes one connection leaves all devices alone, and the others' SAs; one that is
    taken out goes, and comes again."""
    daemon, before = pair.ours, pair.ours.ends

    def reload(ends):
        daemon.write_ends(ends)
        daemon.control.request("reload-settings")

    def delay(which):
        return int(daemon.control.stream("list-conns", "list-conn", {"ike": which})[0][which]["dpd_delay"])

    with pair.up(other, daemon), Heard(pair) as heard:
        spi = daemon.children(other)[0]["spi-in"]
        reload(before)  # addresses have come since the last one
        count = heard.quiet()
        for n in (21, 22):
            reload([change(end, dpd=n) if end.name == name else end for end in before])
            check_equal(delay(name), n, "dpddelay of what changed")
        check_equal(heard.lines()[count:], [], "devices and addresses that are told of")
        check_equal(daemon.children(other)[0]["spi-in"], spi, "SPI of another one")
        reload([end for end in before if end.name != other])
        check(other not in daemon.conns(), f"{other} is there still")
    reload(before)
    check(other in daemon.conns(), f"{other} is not there")


def which_end_is_ours(pair):
    """It is seen again where this machine has other addresses, and remembered where it has not."""
    daemon, before, (end, _) = pair.ours, pair.ours.ends, tunnel("e", 9)
    place = (end.remote + "/32", "dev", "lo")

    def reload(*ends):
        daemon.write_ends([*before, *ends])
        daemon.control.request("reload-settings")

    def local_after(*ends):
        reload(*ends)
        return daemon.control.stream("list-conns", "list-conn", {"ike": "e"})[0]["e"]["local_addrs"]

    check_equal(local_after(end), [end.local], "ours, where none is")
    pair.ours.namespace.ip("address", "add", *place)
    try:
        check_equal(local_after(end), [end.remote], "ours, where the other one is")
        check_equal(local_after(change(end, dpd=21)), [end.remote], "ours, with another dpddelay")
    finally:
        pair.ours.namespace.ip("address", "del", *place)
    check_equal(local_after(change(end, dpd=21)), [end.local], "ours, where none is again")
    reload()
    check("e" not in daemon.conns(), "e is there still")


def main():
    suite = Suite("helper")
    tunnels = []
    for n, name in enumerate(("a", "b", "c", "d"), 1):
        secret = f"{name}-{secrets.token_hex(16)}"
        tunnels.append(tuple(change(end, secret=secret) for end in tunnel(name, n)))
    with Pair(tunnels, ipsecd_options=("--split", "--restart-pause", "0.2")) as pair:
        script = os.path.join(pair.folder, "script")
        with open(script, "w", encoding="utf-8") as file:
            file.write(SCRIPT.format(folder=pair.folder))
        os.chmod(script, 0o700)
        pair.ours.load([change(e, extra=(f"leftupdown={script}",)) if e.name == "a" else e
                        for e, _ in tunnels])
        for name, function, *args in (
                ("no secret in ike", no_secret_in_ike, pair, ["b", "c"]),
                ("killed at any moment", killed, pair, "a"),
                ("reload", reload_secret, pair, "b"),
                ("replaced secrets go", replaced_secrets_go, pair, "b"),
                ("a peer's name", by_name, pair, "c"),
                ("a client's script", foreign_script, pair, "d"),
                ("one of them changes", one_of_them, pair, "b", "c"),
                ("which end is ours", which_end_is_ours, pair)):
            suite.case(name, function, *args, logs=(pair.ours,))
    return suite.finish()


if __name__ == "__main__":
    sys.exit(main())
