"""Small charts as SVG: bars with their spread, and lines."""
import html
import math

COLOURS = {"ipsecd": "#0b62a4", "veth": "#9a9a9a", "bare_offload": "#4f9d4f", "bare_one": "#a5cf8d",
           "strongswan": "#d1495b", "openvpn": "#edae49", "wireguard_go": "#8e6bbf",
           "wireguard_go_new": "#c3a6e8"}
OTHER = "#555555"
WIDTH, LEFT, RIGHT = 760, 150, 120
BAR, GAP, HEAD, FOOT = 16, 14, 58, 40
FONT = "font-family='sans-serif'"


def _text(x, y, text, size=12, anchor="start", weight="normal", colour="#222"):
    return (f"<text x='{x:.1f}' y='{y:.1f}' {FONT} font-size='{size}' text-anchor='{anchor}' "
            f"font-weight='{weight}' fill='{colour}'>{html.escape(text)}</text>")


def _line(x1, y1, x2, y2, colour="#ddd", width=1):
    return (f"<line x1='{x1:.1f}' y1='{y1:.1f}' x2='{x2:.1f}' y2='{y2:.1f}' stroke='{colour}' "
            f"stroke-width='{width}'/>")


def number(value):
    """With three digits that say something."""
    if value == 0:
        return "0"
    digits = max(0, 2 - math.floor(math.log10(abs(value))))
    return f"{value:.{min(digits, 4)}f}"


def _ticks(top):
    """Round numbers from 0 to a little above top."""
    step = 10 ** math.floor(math.log10(top / 4))
    step *= next(m for m in (1, 2, 2.5, 5, 10) if step * m * 4.5 >= top)
    return [step * i for i in range(int(math.ceil(top / step)) + 1)]


def _svg(path, height, title, note, parts):
    head = [f"<svg xmlns='http://www.w3.org/2000/svg' width='{WIDTH}' height='{height:.0f}' "
            f"viewBox='0 0 {WIDTH} {height:.0f}'>",
            "<rect width='100%' height='100%' fill='white'/>",
            _text(14, 24, title, 16, weight="bold"), _text(14, 43, note, 11, colour="#666")]
    with open(path, "w", encoding="utf-8") as file:
        file.write("\n".join([*head, *parts, "</svg>\n"]))


def bars(path, title, unit, groups, labels):
    """groups: [(words, {peer: (median, least, most)})]. A bar is the median, the thin line the
    least and the most."""
    rows = sum(len(values) for _, values in groups)
    height = HEAD + rows * BAR + len(groups) * (GAP + 18) + FOOT
    top = max((most for _, values in groups for _, _, most in values.values()), default=0) or 1
    ticks = _ticks(top)
    scale = (WIDTH - LEFT - RIGHT) / ticks[-1]
    parts, y = [], HEAD
    for tick in ticks:
        x = LEFT + tick * scale
        parts += [_line(x, HEAD, x, height - FOOT), _text(x, height - FOOT + 16, f"{tick:g}", 11, "middle")]
    parts.append(_text((LEFT + WIDTH - RIGHT) / 2, height - 8, unit, 12, "middle"))
    for words, values in groups:
        parts.append(_text(14, y + 14, words, 12, weight="bold"))
        y += 18
        for peer, (median, least, most) in values.items():
            middle = y + BAR / 2
            parts += [_text(LEFT - 6, middle + 4, labels.get(peer, peer), 11, "end"),
                      f"<rect x='{LEFT}' y='{y + 2:.1f}' width='{median * scale:.1f}' height='{BAR - 4}' "
                      f"fill='{COLOURS.get(peer, OTHER)}'/>",
                      _line(LEFT + least * scale, middle, LEFT + most * scale, middle, "#222"),
                      _line(LEFT + least * scale, middle - 3, LEFT + least * scale, middle + 3, "#222"),
                      _line(LEFT + most * scale, middle - 3, LEFT + most * scale, middle + 3, "#222"),
                      _text(LEFT + most * scale + 6, middle + 4, number(median), 11)]
            y += BAR
        y += GAP
    _svg(path, height, title, "bar: median; line: least to most of the rounds", parts)


def line(path, title, across, unit, points, marks=()):
    """points: [(x, y)]; marks: [(words, y)] are levels to compare with."""
    height, bottom = 360, 300
    ticks = _ticks(max([y for _, y in points] + [y for _, y in marks]))
    most = max(x for x, _ in points)
    right = WIDTH - 40
    left = 70

    def at(x, y):
        return left + x / most * (right - left), bottom - y / ticks[-1] * (bottom - HEAD)

    parts = []
    for tick in ticks:
        parts += [_line(*at(0, tick), *at(most, tick)), _text(left - 8, at(0, tick)[1] + 4, f"{tick:g}", 11, "end")]
    for tick in _ticks(most):
        if tick <= most:
            parts.append(_text(at(tick, 0)[0], bottom + 18, f"{tick:,.0f}", 11, "middle"))
    for words, level in marks:
        parts += [_line(*at(0, level), *at(most, level), "#d1495b"),
                  _text(right, at(0, level)[1] - 5, words, 11, "end", colour="#d1495b")]
    path_points = " ".join(f"{x:.1f},{y:.1f}" for x, y in (at(*point) for point in points))
    parts += [f"<polyline points='{path_points}' fill='none' stroke='{COLOURS['ipsecd']}' stroke-width='2'/>",
              _text((left + right) / 2, bottom + 40, across, 12, "middle")]
    _svg(path, height, title, unit, parts)
