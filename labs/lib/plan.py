"""What happens in a lab: events.json, checked and written out, one event after the other.

    probe     {"from": SITE, "to": SITE, "rate": datagrams a second}; `to` may be a list, or
              "all": one probe to each other site
    path      the sites that packets pass before the first event
    events    a list of events, or {"each": "link", "events": [...]}: these for every link of
              the mesh in turn, with {a}, {b} and {link} in texts replaced by the link's sites
              and name
    variants  [{"name", "text", "bfd": {...}, "events": [...]}]: further networks, each the same
              topology with other settings, built anew
    goals     {NAME: {"lost_worst", "gap_ms_median", "blackhole_ms_median" or "alarms_worst": N,
              or {PLANE: N}}}: what `--runs` is held against

An event:

    name      as it stands in result.json
    text      what happens, for people
    do        one action (actions.py), left out for "nothing happens"
    path      the sites that packets pass in the end; "shortest": one of the shortest ways over
              links that work
    seconds   how long the probe runs at least
    expect    {"lost": N}, {"gap_ms": N}, {"blackhole_ms": N}, {"leaked": N}, {"alarms": N},
              {"bgp_downs": N}: at most so much. N may be one for each data plane,
              {"userspace": N, "kernel": N}, or for one of them only
    from, to  another probe than the lab's
    once      true: not again with --runs
    asked     true: only when --only names it
    then      an event that undoes it; always follows"""
import copy
import json

from plane import PLANES
from shell import LabError

TOP_KEYS = {"probe", "path", "events", "variants", "goals"}
PROBE_KEYS = {"from", "to", "rate"}
VARIANT_KEYS = {"name", "text", "bfd", "events"}
EVENT_KEYS = {"name", "text", "do", "path", "seconds", "expect", "from", "to", "once", "then",
              "asked"}
EXPECT_KEYS = {"lost", "gap_ms", "blackhole_ms", "leaked", "alarms", "bgp_downs"}
GOAL_KEYS = {"lost_worst", "gap_ms_median", "blackhole_ms_median", "alarms_worst"}


def _keys(what, found, known):
    unknown = sorted(set(found) - set(known))
    if unknown:
        raise LabError(f"events.json: {what} has '{unknown[0]}', known are "
                       f"{', '.join(sorted(known))}")


def _check_limits(what, found, known):
    _keys(what, found, known)
    for key, most in found.items():
        if isinstance(most, dict):
            _keys(f"{key} in {what}", most, PLANES)


def limits(of, plane):
    """Those for this plane. Each is a number, or one for a plane and another or none for the other."""
    found = {key: most.get(plane) if isinstance(most, dict) else most for key, most in of.items()}
    return {key: most for key, most in found.items() if most is not None}


def _check_event(event):
    what = f"event '{event.get('name', '?')}'"
    _keys(what, event, EVENT_KEYS)
    _check_limits(f"expect of {what}", event.get("expect", {}), EXPECT_KEYS)
    missing = {"name", "text", "path"} - set(event)
    if missing:
        raise LabError(f"events.json: {what} lacks '{sorted(missing)[0]}'")
    if "then" in event:
        _check_event(event["then"])


def _check_events(events):
    for entry in events:
        if "each" not in entry:
            _check_event(entry)
            continue
        _keys("an entry with 'each'", entry, {"each", "events"})
        if entry["each"] != "link":
            raise LabError(f"events.json: each '{entry['each']}': expected 'link'")
        _check_events(entry["events"])


def load(path):
    with open(path) as source:
        plan = json.load(source)
    _keys("the file", plan, TOP_KEYS)
    _keys("probe", plan["probe"], PROBE_KEYS)
    _check_events(plan["events"])
    for variant in plan.get("variants", []):
        _keys(f"variant '{variant.get('name', '?')}'", variant, VARIANT_KEYS)
        _check_events(variant["events"])
    for name, goal in plan.get("goals", {}).items():
        _check_limits(f"the goal of '{name}'", goal, GOAL_KEYS)
    return plan


def names(plan):
    """Every name that --only may have."""
    lists = [plan["events"]] + [v["events"] for v in plan.get("variants", [])]
    found = []
    for entry in (e for events in lists for e in events):
        found += [e["name"] for e in entry.get("events", [entry])]
    return list(dict.fromkeys(found))


def _filled(value, words):
    """`value` with {a}, {b}, {link} replaced in every text."""
    if isinstance(value, str):
        for key, word in words.items():
            value = value.replace("{" + key + "}", word)
        return value
    if isinstance(value, list):
        return [_filled(v, words) for v in value]
    if isinstance(value, dict):
        return {k: _filled(v, words) for k, v in value.items()}
    return value


def _flat(event):
    """The event and those that undo it."""
    then = event.pop("then", None)
    return [event] + (_flat(then) if then else [])


def written_out(events, links, only=None, again=False):
    """The groups as they happen, each an event and what undoes it. `links`: {name: (site, site)} for "each"; `only`: names, None
    for all; `again`: without those that happen once."""
    out = []
    for entry in copy.deepcopy(events):
        many = [dict(_filled(e, {"link": link, "a": a, "b": b}), link=link)
                for link, (a, b) in links.items() for e in copy.deepcopy(entry["events"])] \
            if "each" in entry else [entry]
        for event in many:
            if (event["name"] not in only if only else event.get("asked")) or \
                    (again and event.get("once")):
                continue
            link = event.get("link")
            out.append([dict(e, link=link) if link else e for e in _flat(event)])
    return out
