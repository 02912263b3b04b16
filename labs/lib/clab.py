"""A containerlab file, built from network namespaces instead of containers: each node is a
namespace, each link a veth pair, sysctls and exec commands run inside. Docker, images and
binds are not used: programs run from the build folder with topology's files as arguments."""
import os
import signal

import yaml

from shell import LabError, inside, run, say, wait_until


class Lab:
    def __init__(self, path):
        with open(path) as source:
            content = yaml.safe_load(source)
        self.name = content["name"]
        self.nodes = content["topology"]["nodes"]
        self.links = [link["endpoints"] for link in content["topology"]["links"]]
        self.folder = os.path.dirname(path)

    def namespace(self, node):
        return f"{self.name}-{node}"

    def role(self, role):
        return [node for node, c in self.nodes.items() if c["labels"]["detour-role"] == role]

    def hosts_of(self, site):
        return [node for node in self.role("host")
                if self.nodes[node]["labels"]["detour-site"] == site]

    # ---- building and removing

    def build(self):
        for node in self.nodes:
            run(["ip", "netns", "add", self.namespace(node)])
            self._settings(node)
        for a, b in self.links:
            self._link(a.split(":"), b.split(":"))
        for node, config in self.nodes.items():
            for command in config.get("exec", []):
                run(inside(self.namespace(node), command.split()))

    def _settings(self, node):
        namespace = self.namespace(node)
        settings = dict(self.nodes[node].get("sysctls", {}))
        # Many traces a second: no limit on the answers (icmp(7)).
        settings["net.ipv4.icmp_ratelimit"] = 0
        run(inside(namespace, ["sysctl", "-qw"] + [f"{k}={v}" for k, v in settings.items()]))
        run(["ip", "-n", namespace, "link", "set", "dev", "lo", "up"])

    def _link(self, a, b):
        run(["ip", "link", "add", "name", a[1], "netns", self.namespace(a[0]), "type", "veth",
             "peer", "name", b[1], "netns", self.namespace(b[0])])
        for node, interface in (a, b):
            run(["ip", "-n", self.namespace(node), "link", "set", "dev", interface, "up"])

    def present(self):
        """Namespaces of this lab that exist, also those of a run that was killed."""
        names = [line.split()[0] for line in run(["ip", "netns", "list"], quiet=True).splitlines()
                 if line.strip()]
        return [n for n in names if n in {self.namespace(node) for node in self.nodes}]

    def _pids(self, namespace):
        out = run(["ip", "netns", "pids", namespace], quiet=True, check=False)
        return [int(pid) for pid in out.split()]

    def remove(self):
        """Ends what still runs inside, by process id, and removes the namespaces."""
        for namespace in self.present():
            for pid in self._pids(namespace):
                say(f"  $ kill -KILL {pid}    # left over in {namespace}")
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    continue
            wait_until(f"the end of all processes in {namespace}",
                       lambda n=namespace: not self._pids(n), 5)
            run(["ip", "netns", "delete", namespace])


def load(folder):
    files = [f for f in os.listdir(folder) if f.endswith(".clab.yml")]
    if len(files) != 1:
        raise LabError(f"{folder} has {len(files)} containerlab files, expected one")
    return Lab(os.path.join(folder, files[0]))
