"""What an event does, and when all of it has happened:

    {"rekey": CONN, "at": SITE}     new keys; every SPI is another one in the end
    {"reauth": CONN, "at": SITE}    a new IKE_SA with a new authentication
    {"down": CONN, "at": SITE}      ipsecctl down: drained, then the SAs go; CONN may be a list
    {"dead": CONN, "at": SITE}      ipsecctl down --force: the SAs go at this moment, and the
                                    peer, which is told, deletes its own
    {"up": CONN, "at": SITE}        ipsecctl up; CONN may be a list
    {"cut": [SITE, SITE]}           the internet drops all between their public addresses
    {"mend": [SITE, SITE]}          and passes it again
    {"restart": PROGRAM, "at": SITE}  zebra (with those that depend on it), routed-bridge, or
                                    ipsecd: a new one takes over from the old one, which ends
    {"kill": PROGRAM, "at": SITE}   kill -9 of routed-bridge, started anew as systemd does; or of
                                    a process of ipsecd's, ike or plane, which ipsecd starts anew
    {"upgrade": "ipsecd", "at": SITE}  ipsecctl upgrade
    {"reload": [PROGRAM...], "at": SITE}  SIGHUP: ipsecd, routed-bridge
    {"flood": [SITE, SITE]}         full load between hosts of the two: a TCP stream each way,
                                    until the event is over"""
from measure import Flood
from shell import LabError, run

VERBS = ("rekey", "reauth", "down", "dead", "up", "cut", "mend", "restart", "kill", "upgrade",
         "reload", "flood")
IPSECD = ("ipsecd", "ike", "plane")
RELOADED = {"ipsecd": "configuration in force", "routed-bridge": "read again"}


def conns(action, verb):
    named = action[verb]
    return named if isinstance(named, list) else [named]


class Actions:
    def __init__(self, lab, sites, mesh, program):
        self.lab, self.sites, self.mesh = lab, sites, mesh
        self.program = program  # lab-probe
        self.before = None  # what the action is measured against
        self.processes = {}  # of ipsecd, by role
        self.floods = []

    def _verb(self, action):
        verb = next((v for v in VERBS if v in action), None)
        if action and not verb:
            raise LabError(f"events.json: do {action}: expected one of {', '.join(VERBS)}")
        return verb

    def expect(self, action):
        """What will work afterwards: called before it happens."""
        verb = self._verb(action)
        if verb in ("down", "dead"):
            self.mesh.fail(conns(action, verb))
        elif verb == "up":
            self.mesh.repair(conns(action, verb))
        elif verb in ("cut", "mend"):
            link = [self.mesh.link_between(*action[verb])]
            self.mesh.fail(link) if verb == "cut" else self.mesh.repair(link)

    def act(self, action):
        verb = self._verb(action)
        if verb:
            getattr(self, "_" + verb)(action[verb], action)

    def settled(self, action):
        verb = self._verb(action)
        check = getattr(self, f"_{verb}_settled", None) if verb else None
        return check(action) if check else True

    def _site(self, action):
        return self.sites[action["at"]]

    # ---- keys

    @staticmethod
    def _keys(site, conn):
        """SPIs of the IKE_SA and of its children, as ipsecctl tells them."""
        return site.ike_spis(conn), site.child_spis(conn)

    def _renew(self, action, conn, *words):
        self.before = self._keys(self._site(action), conn)
        self._site(action).ipsecctl("rekey", conn, *words)

    def _rekey(self, conn, action):
        self._renew(action, conn)

    def _reauth(self, conn, action):
        self._renew(action, conn, "--reauth")

    def _renewed(self, action, conn):
        ike, children = self._keys(self._site(action), conn)
        return ike and children and not ike & self.before[0] and not children & self.before[1]

    def _rekey_settled(self, action):
        return self._renewed(action, action["rekey"])

    def _reauth_settled(self, action):
        return self._renewed(action, action["reauth"])

    # ---- tunnels

    def _down(self, _, action):
        for name in conns(action, "down"):
            self._site(action).ipsecctl("down", name)

    def _down_settled(self, action):
        return not any(self._site(action).child_spis(c) for c in conns(action, "down"))

    def _dead(self, conn, action):
        self._site(action).ipsecctl("down", conn, "--force")

    def _dead_settled(self, action):
        return not any(self.sites[end].child_spis(action["dead"])
                       for end in self.mesh.links[action["dead"]])

    def _up(self, _, action):
        for name in conns(action, "up"):
            self._site(action).ipsecctl("up", name)

    def _up_settled(self, action):
        return (all(self._site(action).child_spis(c) for c in conns(action, "up"))
                and self._site(action).bfd_follows())

    # ---- the internet

    def outer(self, site):
        return next(a for a in self.lab.links if a[0].startswith(site + ":")
                    and a[1].startswith("internet:"))[0].split(":")[1]

    def _public(self, site):
        outer = self.outer(site)
        return next(c.split()[3].split("/")[0] for c in self.lab.nodes[site]["exec"]
                    if c.endswith(f"dev {outer}"))

    def _rules(self, verb, pair):
        a, b = (self._public(site) for site in pair)
        rules = "".join(f"rule {verb} from {source} to {target} blackhole\n"
                        for source, target in ((a, b), (b, a)))
        run(["ip", "-n", self.lab.namespace("internet"), "-batch", "-"], stdin=rules)

    def _cut(self, pair, _):
        self._rules("add", pair)

    def _mend(self, pair, _):
        self._rules("del", pair)

    def _mend_settled(self, action):
        """A cut before BFD is up again would be one that nobody notices."""
        sites = [self.sites[name] for name in action["mend"]]
        return all(site.peers_established() and site.bfd_follows() for site in sites)

    def _address(self, host):
        return next(c.split()[3].split("/")[0] for c in self.lab.nodes[host]["exec"]
                    if "address add" in c)

    def _flood(self, pair, _):
        hosts = [self.lab.hosts_of(site)[0] for site in pair]
        for source, target in (hosts, hosts[::-1]):
            self.floods.append(Flood(self.lab, source, target, self._address(target),
                                     self.program))

    def end(self):
        """What lasts as long as its event. Bytes that were sent under load."""
        for flood in self.floods:
            flood.stop()
        sent, self.floods = sum(flood.sent for flood in self.floods), []
        return sent

    # ---- programs

    def _once_more(self, verb, what, action, known):
        """One of `known`, by name; what was there before has to be there afterwards."""
        if what not in known:
            raise LabError(f"events.json: can't {verb} '{what}' ({', '.join(known)})")
        site = self._site(action)
        self.before = site.bgp_routes()
        self.processes = site.all_processes() if what in IPSECD else {}
        known[what](site)

    def _restart(self, what, action):
        self._once_more("restart", what, action, {
            "zebra": lambda site: site.restart_zebra(),
            "routed-bridge": lambda site: site.restart_bridge(),
            "ipsecd": lambda site: site.take_over_ipsecd()})

    def _kill(self, what, action):
        self._once_more("kill", what, action, {
            "routed-bridge": lambda site: site.kill_bridge(),
            "ike": lambda site: site.kill_process("ike"),
            "plane": lambda site: site.kill_process("plane")})

    def _upgrade(self, what, action):
        self._once_more("upgrade", what, action,
                        {"ipsecd": lambda site: site.ipsecctl("upgrade")})

    def _routes_back(self, action):
        site = self._site(action)
        return (site.peers_established() and site.bfd_follows()
                and site.bgp_routes() >= self.before and site.bridge_routes() >= site.bridge_wanted()
                and (not self.processes or self._ipsecd_is_back(site, action)))

    def _ipsecd_is_back(self, site, action):
        """By another process, or several, and with everything installed."""
        now = site.processes()
        fresh = [action["kill"]] if "kill" in action else ["plane", "ike", "helper"]
        return (all(now.get(role) and now[role] != self.processes[role] for role in fresh)
                and all(site.child_spis(conn) for conn, ends in self.mesh.links.items()
                        if site.name in ends and conn not in self.mesh.failed))

    _restart_settled = _kill_settled = _upgrade_settled = _routes_back

    def _reload(self, programs, action):
        site = self._site(action)
        self.before = {p: site.daemons[p].logged(RELOADED[p]) for p in programs}
        for program in programs:
            site.daemons[program].reload()

    def _reload_settled(self, action):
        return all(self._site(action).daemons[p].logged(RELOADED[p]) > n
                   for p, n in self.before.items())
