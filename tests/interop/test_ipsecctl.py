#!/usr/bin/env python3
"""ipsecctl as an operator uses it: against our ipsecd, and against strongSwan's charon,
whose vici it speaks as well. Looks at output and exit statuses, as scripts would.
"""
import json
import os
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../.."))
from tests.support.ipsecd import BINARY  # noqa: E402
from tests.support.pair import Pair, one_of_each  # noqa: E402
from tests.support.poll import until  # noqa: E402
from tests.support.rekeying import child_spis, ike_spis  # noqa: E402
from tests.support.suite import Suite, check, check_equal  # noqa: E402
from tests.support.tunnel import change, tunnel  # noqa: E402

IPSECCTL = os.path.join(os.path.dirname(BINARY), "ipsecctl")
OK, FAILED, USAGE, NO_DAEMON, DOWN = range(5)


def ipsecctl(peer, *words, status=OK):
    """Its standard output; on a failure that is expected, standard error."""
    done = subprocess.run([IPSECCTL, "--vici", peer.socket_path, *words], text=True,
                          capture_output=True, timeout=60)
    check_equal(done.returncode, status, f"ipsecctl {' '.join(words)}: {done.stderr.strip()}")
    return done.stdout if status in (OK, DOWN) else done.stderr


def row(peer, name, status=OK):
    """The line of a connection in the table, as words."""
    lines = ipsecctl(peer, "status", name, status=status).splitlines()
    return lines[1].split()


def names(peer):
    return {c["name"] for c in json.loads(ipsecctl(peer, "status", "--json"))["connections"]}


def shown(peer, name):
    everything = json.loads(ipsecctl(peer, "status", "--json"))
    return next(c for c in everything["connections"] if c["name"] == name)


def negotiated(pair, sa, child):
    """What the table has no column for follows it."""
    output = ipsecctl(pair.ours, "status", "a")
    check(f"SPI {child['spi-in']} in, {child['spi-out']} out" in output, output)
    check(f"/{sa['prf-alg']}/{sa['dh-group']}\n" in output, output)
    check(f"local 172.16.1.1[{sa['local-port']}] ({sa['local-id']}), "
          f"remote 172.16.2.1[{sa['remote-port']}] ({sa['remote-id']})\n" in output, output)
    check(f"    local {child['local-ts'][0]}, remote {child['remote-ts'][0]}\n" in output, output)


def life(pair):
    """down, up, rekeyed, down: in the table, as JSON and as exit statuses."""
    check_equal(row(pair.ours, "a", DOWN)[:6], ["a", "down", "172.16.2.1", "tun1", "dormant",
                                               "0/0"], "the table")
    output = ipsecctl(pair.ours, "up", "a", "--verbose")
    check("established" in output, f"--verbose shows the log: {output}")
    pair.both_up("a")
    pair.ping("a")
    check_equal(row(pair.ours, "a")[:6], ["a", "up", "172.16.2.1", "tun1", "up", "1/1"],
                "the table")
    check_equal(row(pair.ours, "a")[-1], "tun", "the kind of device")
    plane = json.loads(ipsecctl(pair.ours, "status", "--json"))["dataplane"]
    devices = shown(pair.ours, "a")["config"]["interface-offloads"]
    check("vnet-hdr, checksums, TSO" in devices, f"offloads of the device: {devices}")
    check_equal(ipsecctl(pair.ours, "status").splitlines()[-2],
                f"data plane: {plane['name']} ({plane['why']}); offloads: {plane['offloads']}"
                f"; devices: {devices}",
                "the line of the plane")
    check("UDP_SEGMENT, UDP_GRO" in plane["offloads"], f"offloads: {plane['offloads']}")
    before = shown(pair.ours, "a")
    check_equal(before["state"], "up", "state")
    child = next(iter(before["sas"][0]["child-sas"].values()))
    check(child["bytes-in"] > 0 and child["packets-out"] > 0, f"traffic is counted: {child}")
    negotiated(pair, before["sas"][0], child)
    ipsecctl(pair.ours, "up", "a")  # there is nothing to do, and that is success
    ipsecctl(pair.ours, "rekey", "a")  # it begins
    until("a new IKE_SA instead of the old one", lambda: [
        sa["initiator-spi"] != before["sas"][0]["initiator-spi"]
        for sa in shown(pair.ours, "a")["sas"]] == [True])
    after = shown(pair.ours, "a")
    until("a new CHILD_SA", lambda: child["spi-in"] not in [
        c["spi-in"] for c in pair.ours.children("a")])
    pair.ping("a")
    ipsecctl(pair.ours, "rekey", "a", "--child")
    check_equal(shown(pair.ours, "a")["sas"][0]["initiator-spi"],
                after["sas"][0]["initiator-spi"], "--child leaves the IKE_SA alone")
    ipsecctl(pair.ours, "rekey", "a", "--reauth")
    until("a new IKE_SA instead of the old one", lambda: [
        sa["initiator-spi"] != after["sas"][0]["initiator-spi"]
        for sa in shown(pair.ours, "a")["sas"]] == [True])
    ipsecctl(pair.ours, "down", "a")
    check_equal(row(pair.ours, "a", DOWN)[1], "down", "state")
    output = ipsecctl(pair.ours, "status", "a", status=DOWN)
    check("command: taken down; stays so until" in output, f"the table tells why: {output}")
    pair.both_down("a")
    ipsecctl(pair.ours, "up", "a")
    mark = pair.ours.log_mark()
    ipsecctl(pair.ours, "down", "a", "--force")
    pair.both_down("a")
    check("draining" not in pair.ours.log(mark), "--force drains nothing")


def shut_down(pair):
    """An operator sets the device down: so does the peer, and it comes again with the device."""
    ipsecctl(pair.ours, "up", "a")
    pair.both_up("a")
    pair.ours.namespace.ip("link", "set", "tun1", "down")
    until("the table shows it", lambda: shown(pair.ours, "a")["state"] == "down")
    until("and that of one connection", lambda: row(pair.ours, "a", DOWN)[:6] == [
        "a", "down", "172.16.2.1", "tun1", "down", "0/0"])
    pair.theirs.wait_down("a")
    error = ipsecctl(pair.ours, "up", "a", status=FAILED)
    check("its device is down" in error, error)
    output = ipsecctl(pair.ours, "status", "a", status=DOWN)
    check("the device was set down; 'ip link set tun1 up' ends that" in output, output)
    pair.ours.namespace.ip("link", "set", "tun1", "up")
    until("and its end", lambda: shown(pair.ours, "a")["state"] == "up")
    ipsecctl(pair.ours, "down", "a")
    pair.both_down("a")


def reason(pair):
    """A connection that can't come up says why, and what the peer said."""
    error = ipsecctl(pair.ours, "up", "broken", "--timeout", "5", status=FAILED)
    check("initiate broken: establishing CHILD_SA 'broken' failed" in error, error)
    output = ipsecctl(pair.ours, "status", "broken", status=DOWN)
    check("proposal" in output.lower(), f"the table tells the reason: {output}")


def mistakes(pair):
    error = ipsecctl(pair.ours, "up", "brokn", status=FAILED)
    check("there is no connection 'brokn', did you mean 'broken'?" in error, error)
    error = ipsecctl(pair.ours, "stat", status=USAGE)
    check("command 'stat' is not known" in error, error)
    check("a command is missing" in ipsecctl(pair.ours, status=USAGE), "no command")
    error = ipsecctl(pair.ours, "up", status=USAGE)
    check("the connection's name is missing" in error, error)
    error = ipsecctl(pair.ours, "--jsn", "status", status=USAGE)
    check("did you mean '--json'?" in error, error)
    error = ipsecctl(pair.ours, "rekey", "a", "--child", "--reauth", status=USAGE)
    check("--ike, --child and --reauth exclude each other" in error, error)
    error = ipsecctl(pair.ours, "up", "Brokn", status=FAILED)
    check("did you mean 'broken'?" in error, error)
    for words in (["status", "--force"], ["up", "a", "--json"], ["down", "a", "--reauth"],
                  ["reload", "--verbose"], ["log", "--json"], ["check", "--timeout", "5"]):
        error = ipsecctl(pair.ours, *words, status=USAGE)
        option = next(word for word in words if word.startswith("--"))
        check(f"{words[0]}: there is no option '{option}' of this command" in error, error)
    for words in ([], ["--child"], ["--reauth"]):
        error = ipsecctl(pair.ours, "rekey", "a", *words, status=FAILED)
        check("rekey a: it is down: there are no keys to replace; 'ipsecctl up a' brings it up"
              in error, error)
    error = ipsecctl(pair.ours, "up", "a", "--timeout", "long", status=USAGE)
    check("expected a time" in error, error)
    done = subprocess.run([IPSECCTL, "--vici", pair.ours.path("nobody"), "status"],
                          text=True, capture_output=True)
    check_equal(done.returncode, NO_DAEMON, done.stderr)


def watched(pair, words, act):
    """What a command that runs until interrupted prints while act() goes on."""
    with open(pair.ours.path("watched"), "w+", encoding="utf-8") as file:
        watcher = subprocess.Popen([IPSECCTL, "--vici", pair.ours.socket_path, *words],
                                   stdout=file)
        try:
            # Registered when the daemon has answered: an event more than before.
            until("the watcher is registered", lambda: act(file))
        finally:
            watcher.terminate()
            watcher.wait()


def contents(file):
    """Lines that are whole."""
    with open(file.name, encoding="utf-8") as again:
        return again.read().rpartition("\n")[0]


def up_and_down(pair):
    ipsecctl(pair.ours, "up", "a")
    ipsecctl(pair.ours, "down", "a")


def monitor(pair):
    def act(file):
        up_and_down(pair)
        text = contents(file)
        wanted = ("a IKE_SA #", "a CHILD_SA a #", "a link tun1 is up", "a link tun1 is dormant")
        return all(word in text for word in wanted)
    watched(pair, ["monitor"], act)

    def act_json(file):
        up_and_down(pair)
        lines = [json.loads(line) for line in contents(file).splitlines()]
        links = [line["body"] for line in lines if line["event"] == "link-updown"]
        return any(body.get("up") == "yes" and body["a"]["ifindex"] > 0 for body in links)
    watched(pair, ["monitor", "--json"], act_json)


def log(pair):
    def act(file):
        up_and_down(pair)
        return "IKE[a] " in contents(file)
    watched(pair, ["log"], act)


def reload(pair):
    """As SIGHUP, but it waits, and fails with errors in the files."""
    good = pair.ours.path("ipsec.conf")
    with open(good, encoding="utf-8") as file:
        text = file.read()
    pair.ours.write("ipsec.conf", text.replace("conn broken", "conn renamed"))
    ipsecctl(pair.ours, "reload")
    check_equal(names(pair.ours), {"a", "renamed"}, "it waits until that is in force")
    pair.ours.write("ipsec.conf", text + "conn x\n  lft=%any\n")
    error = ipsecctl(pair.ours, "reload", status=FAILED)
    check("reload: errors in the configuration files, see the log" in error, error)
    where = f"{good}:{text.count(chr(10)) + 2}:"
    check(where in error, f"the first of them, and where: {error}")
    check(where in ipsecctl(pair.ours, "status"), "and so does status")
    pair.ours.write("ipsec.conf", text)
    ipsecctl(pair.ours, "reload")
    check(where not in ipsecctl(pair.ours, "status"), "until there are none")


def refused(pair):
    """One whose device is somebody else's is not loaded: the operator sees it without the log."""
    good = pair.ours.path("ipsec.conf")
    with open(good, encoding="utf-8") as file:
        text = file.read()
    pair.ours.namespace.ip("link", "add", "foreign", "type", "bridge")
    pair.ours.write("ipsec.conf", text + "conn odd\n  right=10.9.9.9\n  interface=foreign\n"
                    "  leftsubnet=0.0.0.0/0\n  auto=add\n")
    error = ipsecctl(pair.ours, "reload", status=FAILED)
    check(error.startswith("ipsecctl: reload: not loaded: odd: "), error)
    check(f"({good}:{text.count(chr(10)) + 1})" in error and "foreign" in error, error)
    line = error.strip().removeprefix("ipsecctl: reload: ")
    check(f"{line}\n" in ipsecctl(pair.ours, "status"), "status has it")
    everything = json.loads(ipsecctl(pair.ours, "status", "--json"))
    check(line.endswith(everything["configuration"]["not-loaded"]["odd"]), f"{everything}")
    for words in (["status", "odd"], ["up", "odd"]):
        check_equal(ipsecctl(pair.ours, *words, status=FAILED), f"ipsecctl: {line}\n", f"{words}")
    ipsecctl(pair.ours, "up", "a")  # the others are in force
    ipsecctl(pair.ours, "down", "a")
    pair.ours.namespace.ip("link", "del", "foreign")
    ipsecctl(pair.ours, "reload")
    check("not loaded" not in ipsecctl(pair.ours, "status"), "it is loaded now")
    pair.ours.write("ipsec.conf", text)
    ipsecctl(pair.ours, "reload")
    check_equal(names(pair.ours), {"a", "broken"}, "those of the file")


def unsendable(pair):
    """No route, or a packet filter: the table says so, and not that there is no answer."""
    good = pair.ours.path("ipsec.conf")
    with open(good, encoding="utf-8") as file:
        text = file.read()
    pair.ours.write("ipsec.conf", text + "conn far\n  left=172.16.1.1\n  right=203.0.113.1\n"
                    "  auto=start\n  leftsubnet=0.0.0.0/0\n  rightsubnet=0.0.0.0/0\n")
    note = "    can't send to 203.0.113.1: Network is unreachable"
    ipsecctl(pair.ours, "reload")
    until("status has the error", lambda: note in ipsecctl(
        pair.ours, "status", "far", status=DOWN).splitlines())
    check_equal(row(pair.ours, "far", DOWN)[1], "connecting", "state")
    pair.ours.namespace.ip("route", "add", "203.0.113.1/32", "via", "172.16.2.1")
    until("it is over", lambda: note not in ipsecctl(
        pair.ours, "status", "far", status=DOWN).splitlines(), 20)
    pair.ours.namespace.ip("route", "del", "203.0.113.1/32")
    pair.ours.write("ipsec.conf", text)
    ipsecctl(pair.ours, "reload")


def checking(pair):
    good, bad = pair.ours.path("ipsec.conf"), pair.ours.write("bad.conf", "conn x\n  lft=%any\n")
    ipsecctl(pair.ours, "check", good)
    error = ipsecctl(pair.ours, "check", bad, status=USAGE)
    check(f"{bad}:2:" in error and "left" in error, error)
    with tempfile.TemporaryDirectory() as folder:
        there, other = f"{folder}/ipsec.conf", f"{folder}/other"
        for path, text in ((there, "conn x\n  right=192.0.2.1\n  authby=secret\n"), (other, ": PSK 'no end\n")):
            with open(path, "w", encoding="utf-8") as file:
                file.write(text)
        error = ipsecctl(pair.ours, "check", there, "--secrets", other, status=USAGE)
        check(f"{other}:1:" in error, error)
        os.rename(other, f"{folder}/ipsec.secrets")
        error = ipsecctl(pair.ours, "check", there, status=USAGE)
        check(f"{folder}/ipsec.secrets:1:" in error, error)


def charon(pair):
    """The same words for strongSwan, which has no devices to show."""
    check_equal(row(pair.theirs, "a", DOWN)[:4], ["a", "down", "172.16.1.1", "-"], "the table")
    ipsecctl(pair.theirs, "up", "a")
    check_equal(row(pair.theirs, "a")[:5], ["a", "up", "172.16.1.1", "-", "1/1"], "the table")
    children, ikes = child_spis(pair.ours, "a"), ike_spis(pair.ours, "a")
    ipsecctl(pair.theirs, "rekey", "a")
    until("new SAs", lambda: not children & child_spis(pair.ours, "a") and
          not ikes & ike_spis(pair.ours, "a"))
    one_of_each(pair.theirs, "a")  # else charon tries to end the old IKE_SA, too
    ipsecctl(pair.theirs, "down", "a")
    check_equal(row(pair.theirs, "a", DOWN)[1], "down", "state")


def main():
    suite = Suite("ipsecctl")
    ours, theirs = tunnel("broken", 2)
    broken = (change(ours, ike="aes256-sha512-modp4096"), theirs)
    with Pair([tunnel("a", 1), broken]) as pair:
        # charon first: what an operator of ours took down stays down for the peer, too.
        for function in (charon, life, shut_down, reason, mistakes, monitor, log, reload,
                         refused, unsendable, checking):
            suite.case(function.__name__, function, pair, logs=(pair.ours,))
    return suite.finish()


if __name__ == "__main__":
    sys.exit(main())
