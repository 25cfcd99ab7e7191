"""The table, what is wrong with it, and the same for docs/performance.md (scripts/bench --doc)."""

import json
import sys
import textwrap


def print_conditions(c):
    print(f"{c['cpu']}, {c['cores']} cores, {c['memory_gb']} GB, Linux {c['kernel']}, load {c['load_before']} before")
    print(f"callgate {c['commit']} ({c['build']}), PostgreSQL {c['postgresql']}, {c['wrk']}")
    print("  ".join(f"{k}={v}" for k, v in c["settings"].items()))
    if c["pg_test_fsync"]:
        print(f"a sync of one 8 kB page: {c['pg_test_fsync']}")
    print("Client, gateway and database share the cores.\n", flush=True)


def verdict(row):
    return "" if row["reached"] is None else "reached" if row["reached"] else "MISSED"


def print_row(row):
    parts = [row["what"], row["value"]]
    if row["beside"]:
        parts.append("| " + row["beside"])
    if row["ratio"] is not None:
        parts.append(f"= {row['ratio']:.2f}")
    if row["target"]:
        parts.append(f"[{row['target']}: {verdict(row)}]")
    if row["note"]:
        parts.append(f"({row['note']})")
    print("  " + "  ".join(parts), flush=True)


def print_table(document):
    head = ("what", "callgate", "beside", "ratio", "to reach", "", "note")
    lines = [head] + [(r["what"], r["value"], r["beside"] or "", "" if r["ratio"] is None else f"{r['ratio']:.2f}",
                       r["target"] or "", verdict(r), r["note"]) for r in document["rows"]]
    widths = [max(len(line[i]) for line in lines) for i in range(len(head))]
    print()
    for n, line in enumerate(lines):
        print("  ".join(cell.ljust(w) for cell, w in zip(line, widths)).rstrip())
        if n == 0:
            print("  ".join("─" * w for w in widths))
    d = document["during"]
    print(f"\n{document['seconds']} s; {d['wal_bytes'] / 2**30:.1f} GB of WAL, {d['checkpoints_requested']} checkpoints asked for,"
          f" {d['checkpoints_timed']} by the clock")
    for problem in document["problems"]:
        print(f"PROBLEM: {problem}")


def answers_not_200(results, path=""):
    """Every "bad" above zero, wherever it stands: a rate with errors in it is no rate."""
    if not isinstance(results, dict):
        return []
    found = [f"{path.strip('.')}: {results['bad']} answers were not 200"] if results.get("bad") and "runs" in results else []
    for key, value in results.items():
        found += answers_not_200(value, f"{path}.{key}")
    return found


# ── docs/performance.md ──────────────────────────────────────────────────────────────

BEGIN, END = "<!-- scripts/bench --doc: from here -->", "<!-- scripts/bench --doc: to here -->"
QUIET = 0.2     # processors that others may use in a run that is called quiet


def wrap(text):
    return textwrap.fill(text, 118, break_long_words=False, break_on_hyphens=False)


def markdown_conditions(d):
    c, during, busy = d["conditions"], d["during"], d["conditions"]["busy"]
    commit = c["commit"].replace("+changes", " with changes that were not committed")
    fsync = f" A sync of one 8 kB page: {c['pg_test_fsync']}." if c["pg_test_fsync"] else ""
    own = {"fsync", "synchronous_commit", "full_page_writes"}
    settings = ", ".join(f"`{k}` {v}" for k, v in c["settings"].items() if k not in own)
    return wrap(
        f"One whole run of `scripts/bench` ({d['seconds']} s, {c['day']}, commit {commit}, {c['build']} build): {c['cpu']},"
        f" {c['cores']} cores, {c['memory_gb']} GB, Linux {c['kernel']}, PostgreSQL {c['postgresql'].split(' ')[0]};"
        f" {during['wal_bytes'] / 2**30:.1f} GB of WAL, {during['checkpoints_requested']} checkpoints asked for and"
        f" {during['checkpoints_timed']} by the clock.{fsync} PostgreSQL's {settings}.") + "\n\n" + wrap(
        f"Others used {busy['before']:.2f} of the {c['cores']} processors just before the run and {busy['after']:.2f} just after it: "
        + ("it had the machine to itself then." if max(busy.values()) <= QUIET else
           "**it did not have the machine to itself**, so the absolute figures are too low, the tails too long, and the"
           " ratios uncertain."))


def markdown_table(document):
    lines = ["| what | callgate | beside | ratio | to reach | |", "|---|---|---|---|---|---|"]
    for r in document["rows"]:
        ratio = "" if r["ratio"] is None else f"{r['ratio']:.2f}"
        mark = {"reached": "reached", "MISSED": "**missed**"}.get(verdict(r), "")
        cells = (r["what"].strip(), r["value"], r["beside"] or "", ratio, r["target"] or "", ", ".join(filter(None, (mark, r["note"]))))
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def markdown_missed(document):
    judged = [r for r in document["rows"] if r["reached"] is not None]
    missed = [r["what"].strip().lstrip("… ") for r in judged if not r["reached"]]
    if not missed:
        return wrap(f"All {len(judged)} targets were reached in this run.")
    return wrap(f"Missed in this run, {len(missed)} of {len(judged)}: " + "; ".join(missed) + ".")


def why_not_whole(document):
    if document["quick"]:
        return "it was a quick run"
    if not document.get("whole"):
        return "it was a run of some parts"
    return document["problems"] and f"it had problems: {'; '.join(document['problems'])}"


def write_doc(document, path):
    """Puts the run between the marks. Only a whole run without problems is worth it."""
    why = why_not_whole(document)
    if why:
        sys.exit(f"{path} is as it was: {why}")
    with open(path) as f:
        before, _, rest = f.read().partition(BEGIN)
    _, mark, after = rest.partition(END)
    if not mark:
        sys.exit(f"{path} has no place for a table: {BEGIN} … {END}")
    measured = "\n\n".join((markdown_conditions(document), markdown_table(document), markdown_missed(document)))
    with open(path, "w") as f:
        f.write(f"{before}{BEGIN}\n\n{measured}\n\n{END}{after}")
    print(f"{path} has the run of {document['conditions']['day']}")


if __name__ == "__main__":
    with open(sys.argv[1]) as source:
        write_doc(json.load(source), sys.argv[2])
