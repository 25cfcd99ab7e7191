"""The table, and what is wrong with it."""


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


def print_markdown(document):
    """For docs/performance.md: `report.py build/bench.json`."""
    print("| what | callgate | beside | ratio | to reach | |\n|---|---|---|---|---|---|")
    for r in document["rows"]:
        ratio = "" if r["ratio"] is None else f"{r['ratio']:.2f}"
        mark = {"reached": "reached", "MISSED": "**missed**"}.get(verdict(r), "")
        cells = (r["what"].strip(), r["value"], r["beside"] or "", ratio, r["target"] or "", ", ".join(filter(None, (mark, r["note"]))))
        print("| " + " | ".join(cells) + " |")


if __name__ == "__main__":
    import json
    import sys
    with open(sys.argv[1]) as f:
        print_markdown(json.load(f))
