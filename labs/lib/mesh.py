"""Which sites are joined, read from what the sites run: a connection that two sites' files
have is a link. And which of the links work, as far as the events tell."""
import os
import re


def read_links(lab):
    """{name: (site, site)} in the order of the first site's file."""
    ends = {}
    for site in lab.role("site"):
        with open(os.path.join(lab.folder, site, "ipsec.conf")) as source:
            for name in re.findall(r"^conn (\S+)$", source.read(), re.M):
                ends.setdefault(name, []).append(site)
    return {name: tuple(sites) for name, sites in ends.items() if len(sites) == 2}


class Mesh:
    def __init__(self, links):
        self.links, self.failed = links, set()

    def link_between(self, a, b):
        return next((name for name, ends in self.links.items() if set(ends) == {a, b}), None)

    def fail(self, names):
        self.failed |= set(names)

    def repair(self, names):
        self.failed -= set(names)

    def _neighbours(self, site):
        return [b if a == site else a for name, (a, b) in self.links.items()
                if site in (a, b) and name not in self.failed]

    def distance(self, start, end):
        """Links on the shortest way; None without one."""
        near, seen, steps = {start}, {start}, 0
        while near and end not in near:
            near = {n for site in near for n in self._neighbours(site)} - seen
            seen |= near
            steps += 1
        return steps if near else None

    def is_shortest(self, path, start, end):
        steps = self.distance(start, end)
        if steps is None:
            return path[-1:] == ["*"]
        return (len(path) == steps + 1 and path[0] == start and path[-1] == end
                and all(b in self._neighbours(a) for a, b in zip(path, path[1:])))
