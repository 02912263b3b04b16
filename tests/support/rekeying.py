"""Rekeying under a ping every 10 ms, of which none may be lost."""
from .poll import until


def child_spis(peer, name):
    return {(c["spi-in"], c["spi-out"]) for c in peer.children(name)}


def ike_spis(peer, name):
    """Without those that never came to anything: a half-open one is kept for a while."""
    return {(sa["initiator-spi"], sa.get("responder-spi")) for sa in peer.sas(name)
            if sa["state"] != "CONNECTING"}


def settled(pair, name, wait=15):
    """One installed CHILD_SA and one IKE SA, the same on both sides. (A replaced
    CHILD_SA lingers as REKEYED for packets that are still under way.)"""
    def same():
        ours, theirs = child_spis(pair.ours, name), child_spis(pair.theirs, name)
        ikes, their_ikes = ike_spis(pair.ours, name), ike_spis(pair.theirs, name)
        return (len(ours) == 1 and ours == {(o, i) for i, o in theirs} and len(ikes) == 1
                and (ikes == their_ikes if pair.theirs.tells_spis else len(their_ikes) == 1))
    until("one CHILD_SA and one IKE SA, the same on both sides", same, wait)


def rekeyed(pair, name, start, spis=child_spis):
    """start() begins a rekeying, which an end may do somewhat later: done when this returns."""
    before = spis(pair.ours, name)
    start(name)
    until("new SPIs", lambda: not before & spis(pair.ours, name), 15)
    settled(pair, name)


def _moment(line):
    hours, minutes, seconds = line.split()[0].split(":")
    return int(hours) * 3600 + int(minutes) * 60 + float(seconds)


def sent_too_early(log, interval):
    """How many packets, one each `interval`, a charon may have sent by new CHILD_SAs that our kernel had
    not yet: between our IKE_AUTH and the moment when its answer was carried out. One each time at least."""
    count, asked = 0, None
    for line in log.splitlines():
        if "INIT_SENT -> AUTH_SENT" in line:
            asked = _moment(line)
        elif asked is not None and "CREATED -> INSTALLED: negotiated" in line:
            count += 1 + int((_moment(line) - asked) % 86400 / interval)
            asked = None
    return count


def rekey(pair, name, spis, start, peers, allowed=0, times=3):
    """Rekeys some times in a row; `spis` reads what must change, `start` begins it. `allowed`:
    pings that a peer may lose, where it is known to."""
    with pair.pinging(name) as pinging:
        for _ in range(times):
            before = spis(pair.ours, name)
            for peer in peers:
                start(peer)
            until("new SPIs", lambda: not before & spis(pair.ours, name), 15)
            settled(pair, name)
            pair.ping(name, count=10)  # and 0.2 s for the other ping to go on
    if pinging.lost and pinging.lost <= allowed:
        print(f"      {pinging.lost} of {pinging.sent} pings lost")
    else:
        pinging.check_no_loss()


def rekey_child(pair, name, peers, **options):
    rekey(pair, name, child_spis, lambda peer: peer.rekey_child(name), peers, **options)


def rekey_ike(pair, name, peers, **options):
    rekey(pair, name, ike_spis, lambda peer: peer.rekey_ike(name), peers, **options)
