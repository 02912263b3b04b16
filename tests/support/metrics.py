"""Reading a daemon's metrics: HTTP in its namespace, and a strict parser of the text format."""
import re
import socket
from collections import namedtuple

from . import netns
from .poll import until
from .suite import check, check_equal

TYPE = "text/plain; version=0.0.4; charset=utf-8"
NAME = r"[a-zA-Z_][a-zA-Z0-9_]*"
COMMENT = re.compile(rf"# (HELP|TYPE) ({NAME}) (.+)")
SAMPLE = re.compile(rf"({NAME})(?:\{{(.*)\}})? (\S+)")
LABEL = re.compile(rf'({NAME})="((?:[^"\\\n]|\\["\\n])*)"(,|$)')
NUMBER = re.compile(r"-?(\d+(\.\d+)?(e[+-]\d+)?)|[+-]Inf|NaN")
# A counter's or a histogram's name may not look like another family's sample.
SUFFIXES = {"histogram": ("_bucket", "_sum", "_count"), "counter": ("",), "gauge": ("",)}

Family = namedtuple("Family", "kind help samples")


def labels_of(text):
    labels, at = {}, 0
    while at < len(text):
        match = LABEL.match(text, at)
        check(match, f"labels: {text!r}")
        check(match[1] not in labels, f"a label twice: {text!r}")
        labels[match[1]] = re.sub(r"\\(.)", lambda m: "\n" if m[1] == "n" else m[1], match[2])
        at = match.end()
        check(match[3] == "," or at == len(text), f"behind the labels: {text!r}")
    return labels


class Metrics:
    """metrics["name"] is [(labels, value), ...]; .families has types and help texts."""

    def __init__(self, text):
        self.text = text
        self.families = {}
        check(text.endswith("\n") and "\r" not in text and "\n\n" not in text, "lines")
        name, wants_type = None, None
        for line in text[:-1].split("\n"):
            match = COMMENT.fullmatch(line)
            if match and match[1] == "HELP":
                check(not wants_type, f"HELP without TYPE: {wants_type}")
                check(match[2] not in self.families, f"a family in two pieces: {line}")
                name = wants_type = match[2]
                self.families[name] = Family(None, match[3], [])
            elif match:
                check_equal(match[2], wants_type, "TYPE behind HELP")
                check(match[3] in SUFFIXES, f"type: {line}")
                self.families[name] = self.families[name]._replace(kind=match[3])
                wants_type = None
            else:
                check(not wants_type and name, f"a sample before HELP and TYPE: {line}")
                self._sample(name, line)
        for name, family in self.families.items():
            check((family.kind == "counter") == name.endswith("_total"), f"a counter? {name}")
            if family.kind == "histogram":
                self._check_histogram(name, family)

    def _sample(self, family, line):
        match = SAMPLE.fullmatch(line)
        check(match and NUMBER.fullmatch(match[3]), f"a sample: {line!r}")
        check(match[2] is None or match[2], f"empty labels: {line!r}")
        suffix = match[1][len(family):]
        check(match[1].startswith(family) and suffix in SUFFIXES[self.families[family].kind],
              f"{match[1]} in family {family}")
        labels = labels_of(match[2] or "")
        samples = self.families[family].samples
        check((suffix, labels) not in [s[:2] for s in samples], f"twice: {line}")
        samples.append((suffix, labels, float(match[3])))

    @staticmethod
    def _check_histogram(name, family):
        series = {}
        for suffix, labels, value in family.samples:
            key = tuple(sorted((k, v) for k, v in labels.items() if k != "le"))
            entry = series.setdefault(key, {"buckets": []})
            if suffix == "_bucket":
                entry["buckets"].append((float(labels["le"]), value))
            else:
                entry[suffix] = value
        for entry in series.values():
            buckets = entry["buckets"]
            check(buckets == sorted(buckets) and buckets[-1][0] == float("inf"), f"{name}: le")
            check([v for _, v in buckets] == sorted(v for _, v in buckets), f"{name}: buckets")
            check_equal(entry["_count"], buckets[-1][1], f"{name}: _count")
            check(entry["_sum"] >= 0, f"{name}: _sum")

    def __getitem__(self, name):
        return [(labels, value) for suffix, labels, value in self.families[name].samples
                if not suffix]

    def value(self, name, suffix="", **labels):
        """The one sample that has these labels; None if there is none."""
        found = [value for s, has, value in self.families[name].samples
                 if s == suffix and labels.items() <= has.items()]
        check(len(found) <= 1, f"{name}{labels}: {len(found)} samples")
        return found[0] if found else None

    def names(self):
        """Of all samples, as expressions write them."""
        return {name + suffix for name, family in self.families.items()
                for suffix in SUFFIXES[family.kind]}


def connect(namespace, port, address="127.0.0.1"):
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    sock = netns.socket_of(namespace, family, socket.SOCK_STREAM)
    sock.settimeout(10)
    sock.connect((address, port))
    return sock


def request(namespace, port, text="GET /metrics HTTP/1.1\r\nHost: test\r\n\r\n",
            address="127.0.0.1"):
    """(status, headers, body) of one request; the server closes behind its answer."""
    with connect(namespace, port, address) as sock:
        sock.sendall(text.encode())
        answer = b"".join(iter(lambda: sock.recv(65536), b""))
    if not answer:  # it stopped listening meanwhile
        raise ConnectionError("closed without an answer")
    if not answer:
        raise ConnectionError("the server closed without a word")
    head, _, body = answer.partition(b"\r\n\r\n")
    lines = head.decode().split("\r\n")
    headers = dict(line.lower().split(": ", 1) for line in lines[1:])
    return int(lines[0].split()[1]), headers, body.decode()


def read(namespace, port, address="127.0.0.1"):
    status, headers, body = request(namespace, port, address=address)
    check_equal(status, 200, "status")
    check_equal(headers["content-type"], TYPE.lower(), "type")
    check_equal(int(headers["content-length"]), len(body.encode()), "length")
    return Metrics(body)


def until_metrics(what, namespace, port, condition, timeout=10):
    """Reads (the text is made once a second) until condition(metrics) is true; the metrics."""
    def fits():
        metrics = read(namespace, port)
        return metrics if condition(metrics) else None
    return until(what, fits, timeout, 0.2)


# ---- what is written about them ----

ROW = re.compile(r"^\| `(\w+)` \| (counter|gauge|histogram) \| ([^|]*) \|", re.M)
SELECTOR = re.compile(r"\b((?:ipsecd|routed_bridge|process)_[a-z0-9_]+)(?:\{([^}]*)\})?")
ADDED = {"instance", "job", "le"}  # by Prometheus; of buckets


def rows_of(path):
    """{metric: (type, labels)} of a page's tables."""
    with open(path, encoding="utf-8") as file:
        found = ROW.findall(file.read())
    rows = {name: (kind, set(re.findall(r"`(\w+)`", labels))) for name, kind, labels in found}
    check_equal(len(rows), len(found), f"{path}: each metric once")
    return rows


def check_documented(path, seen, program):
    """The page has each family of the program's with its type and labels, and no others."""
    own = {name: row for name, row in rows_of(path).items()
           if name.startswith((program, "process_"))}
    check_equal({name: kind for name, (kind, _) in own.items()},
                {name: family.kind for name, family in seen.families.items()}, path)
    for name, (_, labels) in own.items():
        for _, has, _ in seen.families[name].samples:
            check_equal(set(has) - {"le"}, labels, f"{path}: labels of {name}")


def check_expression(expression, rows):
    """Each metric in it is one of the page's, and has the labels that it is asked for."""
    names = {name + suffix: labels for name, (kind, labels) in rows.items()
             for suffix in SUFFIXES[kind]}
    used = SELECTOR.findall(expression)
    for name, selector in used:
        check(name in names, f"there is no metric {name}: {expression}")
        asked = set(re.findall(r"(\w+)\s*(?:=~|!~|!=|=)", selector))
        check(asked <= names[name] | ADDED, f"{name} has no label {asked}: {expression}")
    return len(used)
