"""What the runs of an event have in common, beside what is aimed at."""
import statistics

KINDS = {"lost_worst": "lost: {} at most", "gap_ms_median": "gap: {} ms at most, the median",
         "blackhole_ms_median": "hole: {} ms at most, the median",
         "alarms_worst": "BFD sessions down: {} at most"}


def summarise(results, goals):
    """One entry for each name, in the order in which they happened first."""
    summary = []
    for name in dict.fromkeys(r["name"] for r in results):
        of_it = [r for r in results if r["name"] == name]
        gaps, holes = [r["gap_ms"] for r in of_it], [r["blackhole_ms"] for r in of_it]
        entry = {"name": name, "runs": len(of_it), "lost_worst": max(r["lost"] for r in of_it),
                 "gap_ms_median": round(statistics.median(gaps), 1), "gap_ms_worst": max(gaps),
                 "blackhole_ms_median": round(statistics.median(holes), 1),
                 "blackhole_ms_worst": max(holes),
                 "repeats_worst": max(r["repeats"] for r in of_it),
                 "alarms_worst": max(r["alarms"] for r in of_it)}
        if name in goals:
            entry["goal"] = goals[name]
            entry["met"] = all(entry[key] <= most for key, most in goals[name].items())
        summary.append(entry)
    return summary


def goal_words(entry):
    words = [KINDS[key].format(most) for key, most in entry.get("goal", {}).items()]
    return ", ".join(words) + (": met" if entry["met"] else ": NOT MET") if words else ""
