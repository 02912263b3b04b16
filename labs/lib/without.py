"""Parts that are switched off, to see what the rest does without them, and that the lab
notices (`labs/run LAB --without repair,link-state`). Changes the sites' generated files."""
import os
import re

from shell import LabError, say

PARTS = {
    "repair": ("routed-bridge.conf", "routed-bridge puts in no way around by itself"),
    "link-state": ("frr.conf", "zebra takes no notice that a tunnel's device is not operative"),
    "bfd": ("frr.conf", "bgpd does not ask for BFD"),
}


def parse(text):
    parts = [p for p in text.split(",") if p]
    for part in parts:
        if part not in PARTS:
            raise LabError(f"--without '{part}': expected one of {', '.join(PARTS)}")
    return parts


def _repair(text):
    return re.sub(r"^repair yes$", "repair no", text, flags=re.M)


def _link_state(text, interfaces):
    blocks = "".join(f"interface {i}\n no link-detect\nexit\n!\n" for i in interfaces)
    return text.replace("router bgp", blocks + "router bgp", 1)


def _bfd(text):
    return re.sub(r"^ neighbor \S+ bfd.*\n", "", text, flags=re.M)


def _interfaces(folder):
    with open(os.path.join(folder, "ipsec.conf")) as source:
        return re.findall(r"^\s+interface=(\S+)$", source.read(), re.M)


def switch_off(config, sites, parts):
    for part in parts:
        name, what = PARTS[part]
        say(f"  without {part}: {what}")
        for site in sites:
            folder = os.path.join(config, site)
            with open(os.path.join(folder, name)) as source:
                text = source.read()
            if part == "repair":
                text = _repair(text)
            elif part == "link-state":
                text = _link_state(text, _interfaces(folder))
            else:
                text = _bfd(text)
            with open(os.path.join(folder, name), "w") as out:
                out.write(text)
