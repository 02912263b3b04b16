"""The vtysh sessions of a page of documentation, run at the sites of a lab.

A session is a fenced block of the kind `vtysh`, named by the heading above it. A line that
begins with a prompt (`A# `, `A(config)# `: a site's name) is a command; the lines below it are
what vtysh must show, in this order. `...` in a line stands for anything, a line of it for any
lines; blanks count as one. What is shown may need a moment: it is asked for again until it is
there. Commands of a configuration are given together, as vtysh takes them from a paste."""
import re

from shell import LabError, say, wait_until

PROMPT = re.compile(r"(\S+?)(\([a-z-]+\))?# (.*)")
SECONDS = 30


class Session:
    """`steps`: [site, commands, lines that must be shown]."""

    def __init__(self, title):
        self.title, self.steps = title, []

    def command(self, site, inside_config, text):
        if inside_config and self.steps and self.steps[-1][0] == site:
            self.steps[-1][1].append(text)
        else:
            self.steps.append([site, [text], []])


def parse(path):
    sessions, title, inside = [], "", False
    with open(path) as source:
        for line in source.read().splitlines():
            if line.startswith("#") and not inside:
                title = line.lstrip("# ")
            elif line.startswith("```"):
                if line == "```vtysh":
                    sessions.append(Session(title))
                inside = not inside
            elif inside and sessions and sessions[-1].title == title:
                _line(sessions[-1], line)
    return [session for session in sessions if session.steps]


def _line(session, line):
    prompt = PROMPT.fullmatch(line)
    if prompt:
        session.command(prompt[1], prompt[2], prompt[3])
    elif line.strip() and session.steps:
        session.steps[-1][2].append(line)


def pattern(lines):
    """Matches an output that shows these lines, in this order."""
    shown = [" ".join(line.split()) for line in lines if line.strip() != "..."]
    parts = [r"[^\n]*?".join(re.escape(piece.strip()) for piece in line.split("..."))
             for line in shown]
    return re.compile(".*?".join(rf"^{part}$" for part in parts), re.M | re.S)


def _text(output):
    return "\n".join(" ".join(line.split()) for line in output.splitlines())


def _run(site, commands, expected):
    shown = ""

    def seen():
        nonlocal shown
        shown = site.vtysh(*commands)
        return not expected or pattern(expected).search(_text(shown))

    say(f"  {site.name}# " + "; ".join(commands))
    try:
        wait_until(f"what {site.name} shows", seen, SECONDS)
    except LabError as error:
        raise LabError(f"{site.name}# {'; '.join(commands)}\n  shows:\n{shown}\n  expected:\n"
                       + "\n".join(expected)) from error


def run(session, sites):
    """None, or what went wrong."""
    say(f"\n== {session.title}")
    try:
        for name, commands, expected in session.steps:
            if name not in sites:
                raise LabError(f"there is no site {name}")
            _run(sites[name], commands, expected)
    except LabError as error:
        say(f"  {error}")
        return str(error)
    return None
