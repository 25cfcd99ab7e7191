"""Under what conditions a run was made: a number without them means nothing."""

import datetime
import os
import platform
import subprocess
import time

SETTINGS = ("fsync", "synchronous_commit", "full_page_writes", "wal_level", "wal_sync_method", "shared_buffers",
            "max_wal_size", "checkpoint_timeout", "autovacuum", "max_connections", "jit")


def output(*command):
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=20)
        return (done.stdout + done.stderr).strip()
    except OSError:
        return ""


def cpu_model():
    with open("/proc/cpuinfo") as f:
        for line in f:
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.machine()


def commit():
    top = os.environ["CALLGATE_BENCH_TOP"]
    text = output("git", "-C", top, "rev-parse", "--short=12", "HEAD")
    changed = output("git", "-C", top, "status", "--porcelain", "--", "src", "include", "sql", "CMakeLists.txt", "cmake")
    return text + ("+changes" if changed else "")


def busy_processors(seconds=3):
    """How many processors' worth of work is being done, while nothing of ours is."""
    def busy():
        with open("/proc/stat") as f:
            t = [int(n) for n in f.readline().split()[1:9]]
        return (sum(t) - t[3] - t[4]) / os.sysconf("SC_CLK_TCK")
    began = busy()
    time.sleep(seconds)
    return round((busy() - began) / seconds, 2)


def counters(database):
    """What the server did meanwhile: subtracted from a later reading."""
    timed, requested, buffers = database.sql(
        "select checkpoints_timed, checkpoints_req, buffers_checkpoint from pg_stat_bgwriter")[0]
    return dict(checkpoints_timed=timed, checkpoints_requested=requested, checkpoint_buffers=buffers,
                wal_bytes=database.wal())


def gather(database):
    pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return dict(
        day=datetime.datetime.now(datetime.timezone.utc).date().isoformat(), cpu=cpu_model(), cores=len(os.sched_getaffinity(0)), memory_gb=round(pages / 2**30, 1), kernel=platform.release(),
        load_before=round(os.getloadavg()[0], 2), commit=commit(), callgate=output(os.environ["CALLGATE_BENCH_BIN"], "--version"),
        build=os.environ.get("CALLGATE_BENCH_PRESET", ""), postgresql=database.one("show server_version"),
        wrk=(output("wrk", "-v").splitlines() or [""])[0].split(" [")[0], pgbench=output("pgbench", "--version"),
        settings={name: database.one(f"show {name}") for name in SETTINGS},
        pg_test_fsync=os.environ.get("CALLGATE_BENCH_FSYNC", ""), counters=counters(database))
