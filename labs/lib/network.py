"""One network of a lab, from the topology file to running daemons and back."""
import concurrent.futures
import os
import shutil
import subprocess

import yaml

import clab
import plane
import without
from actions import Actions
from mesh import Mesh, read_links
from routers import Site
from shell import LabError, run, say, wait_until

SOCKETS = "/run/detour-labs"  # FRR's own user must reach it, and paths must be short
UP_SECONDS = 60
STARTING = 4  # sites at a time


class Settings:
    """Of one run: where programs are and results go, what is different from the topology."""

    def __init__(self, top, name, programs, plane_name, parts, patient):
        self.source = os.path.join(top, "labs", name)
        self.name, self.programs, self.plane = name, programs, plane_name
        self.without, self.patient = parts, patient
        self.title = "-".join([name] + ([plane_name] if plane_name != "userspace" else [])
                              + ([f"without-{'-'.join(parts)}"] if parts else []))
        self.out = os.path.join(top, "build", "labs", self.title)


class Network:
    def __init__(self, settings, variant=None):
        self.settings, self.variant = settings, variant or {}
        inside = [self.variant["name"]] if variant else []
        self.config = os.path.join(settings.out, *inside, "config")
        self.logs = os.path.join(settings.out, *inside, "logs")
        self.sockets = os.path.join(SOCKETS, settings.name)
        self.lab, self.sites, self.mesh, self.actions = None, {}, None, None

    # ---- up

    def compile(self):
        say("\n== from one file to every site's configuration")
        for folder in (self.config, self.logs):
            shutil.rmtree(folder, ignore_errors=True)
        os.makedirs(self.logs)
        topology = self._topology()
        program = f"{self.settings.programs}/topology"
        say(run([program, "check", topology]).rstrip())
        run([program, "generate", topology, "--out", self.config])
        self.lab = clab.load(self.config)
        without.switch_off(self.config, self.lab.role("site"), self.settings.without)
        self.mesh = Mesh(read_links(self.lab))

    def _topology(self):
        """The lab's file, or a copy with another `bfd`."""
        source = f"{self.settings.source}/topology.yml"
        with open(source) as file:
            content = yaml.safe_load(file)
        bfd = dict(content.get("bfd") or {}, **self.variant.get("bfd", {}))
        bfd = plane.patient(bfd, self.settings.patient)
        if bfd == (content.get("bfd") or {}):
            return source
        target = os.path.join(os.path.dirname(self.config), "topology.yml")
        with open(target, "w") as file:
            yaml.safe_dump(dict(content, bfd=bfd), file, sort_keys=False)
        say(f"   bfd: {bfd}")
        return target

    def clean_stale(self):
        if self.lab.present():
            say("\n== a run before this one was killed: cleaning up after it")
            self.lab.remove()
        shutil.rmtree(self.sockets, ignore_errors=True)

    def build(self):
        say("\n== the network")
        self.lab.build()
        os.makedirs(self.sockets)
        for name in self.lab.role("site"):
            site = Site(self.lab, name, self.settings.programs, self.sockets, self.logs,
                        self.settings.plane, plane.first(self.settings.patient))
            site.prepare()
            self._link_sockets(name)
            self.sites[name] = site
        self.actions = Actions(self.lab, self.sites, self.mesh,
                               f"{self.settings.programs}/lab-probe")

    def _link_sockets(self, name):
        """build/labs/LAB/SITE shows the site's sockets."""
        link = f"{self.settings.out}/{name}"
        if os.path.islink(link):
            os.unlink(link)
        os.symlink(f"{self.sockets}/{name}", link)

    def start(self):
        say("\n== the sites' daemons")
        sites = self.sites.values()
        with concurrent.futures.ThreadPoolExecutor(STARTING) as starting:
            list(starting.map(Site.start_frr, sites))
            list(starting.map(Site.start_ipsecd, sites))
        for site in sites:
            site.start_bridge()
        say("\n== waiting for tunnels, BGP and routes")
        for site in sites:
            wait_until(f"routed-bridge's routes at {site.name}",
                       lambda s=site: s.bridge_routes() >= s.bridge_wanted(), UP_SECONDS,
                       self.running())
        self.wait_steady()

    def wait_steady(self):
        """Over every link that is not down on purpose."""
        for site in self.sites.values():
            peers = sum(site.name in ends for link, ends in self.mesh.links.items()
                        if link not in self.mesh.failed)
            wait_until(f"BGP and BFD with {peers} peers of {site.name}",
                       lambda s=site, n=peers: s.steady(n), UP_SECONDS, self.running())

    def running(self):
        """Every daemon that should run does."""
        return [d for site in self.sites.values() for d in site.running()]

    # ---- end

    def last_words(self):
        say(f"labs/run: the daemons' logs are in {os.path.relpath(self.logs)}, the last lines are:")
        for name in sorted(os.listdir(self.logs)) if os.path.isdir(self.logs) else []:
            with open(f"{self.logs}/{name}", errors="replace") as log:
                for line in log.read().splitlines()[-3:]:
                    say(f"  {name}: {line}")

    def down(self):
        say("\n== cleaning up")
        steps = [site.tell_end for site in self.sites.values()]
        steps += [site.stop for site in self.sites.values()]
        steps += [self.lab.remove] if self.lab else []
        for step in steps + [self._remove_sockets]:
            try:
                step()
            except (LabError, subprocess.SubprocessError, OSError) as error:
                say(f"labs/run: while cleaning up: {error}")

    def _remove_sockets(self):
        shutil.rmtree(self.sockets, ignore_errors=True)
        for name in self.sites:
            if os.path.islink(f"{self.settings.out}/{name}"):
                os.unlink(f"{self.settings.out}/{name}")
