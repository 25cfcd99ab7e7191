"""Adds up what the suites wrote as JUnit XML, for scripts/test.

    results.py record FILE NAME passed|failed|skipped MESSAGE
    results.py failed FILE          what failed in a pytest suite, as pytest's arguments
    results.py again FILE SECOND    takes over from SECOND what passed there and failed in FILE
    results.py sum FOLDER           one line a suite, what failed, then the closing line

CTest knows one test per program, cmocka several in it: the programs' own counts are taken
from what they printed. A program that failed without saying which test (a crash, a
sanitizer's report, a time-out) counts as one more failed test.
"""
import pathlib
import re
import sys
import xml.etree.ElementTree as ET


class Count:
    def __init__(self, passed=0, failed=0, skipped=0):
        self.passed, self.failed, self.skipped = passed, failed, skipped

    def __iadd__(self, other):
        self.passed += other.passed
        self.failed += other.failed
        self.skipped += other.skipped
        return self

    def __str__(self):
        return f"{self.passed} passed, {self.failed} failed, {self.skipped} skipped"


def cmocka(output, failed):
    """The counts of cmocka's summaries in a program's output; None when it printed none."""
    def total(word):
        return sum(map(int, re.findall(rf"^\[\s+{word}\s+\] (\d+) test\(s\)", output, re.M)))

    if not re.search(r"^\[=+\] ", output, re.M):
        return None
    count = Count(total("PASSED"), total("FAILED"), total("SKIPPED"))
    if not count.passed and not count.failed and not count.skipped:     # died half-way
        count.passed = len(re.findall(r"^\[\s+OK \] ", output, re.M))
    if failed and not count.failed:
        count.failed = 1
    return count


def output_of(case):
    return "".join(node.text or "" for node in case.iter("system-out"))


def skips(case):
    """The names of the tests a cmocka program says it skipped."""
    return {name for name in re.findall(r"^\[\s+SKIPPED\s+\] (\S+)$", output_of(case), re.M)}


def of_case(case):
    """(count, is it bad) of one <testcase>."""
    failed = case.find("failure") is not None or case.find("error") is not None \
        or case.get("status") == "fail"
    skipped = not failed and (case.find("skipped") is not None
                              or case.get("status") in ("notrun", "disabled"))
    count = None if skipped else cmocka(output_of(case), failed)
    if count is None:
        count = Count(not failed and not skipped, failed, skipped)
    return count, failed


def summarize(folder):
    whole, bad = Count(), []
    for file in sorted(pathlib.Path(folder).glob("*.xml")):
        suite = Count()
        try:
            cases = list(ET.parse(file).iter("testcase"))
        except ET.ParseError as error:
            suite.failed, cases = 1, []
            bad.append(f"{file.name}: cannot be read: {error}")
        for case in cases:
            count, failed = of_case(case)
            suite += count
            name = f"{case.get('classname', '')} {case.get('name', '')}".strip()
            if failed:
                node = case.find("failure")
                why = (node.get("message") or "").splitlines()[:1] if node is not None else []
                bad.append(": ".join([file.stem, name, *why]))
            for one in sorted(skips(case)):
                print(f"  skipped {name}: {one}")
            node = case.find("skipped")
            if count.skipped and node is not None:
                print(f"  skipped {name}: {node.get('message') or (node.text or '').strip()}")
        print(f"  {file.stem:<28} {suite}")
        whole += suite
    for line in bad:
        print(f"  FAILED {line}")
    print(whole)
    return 1 if whole.failed or not whole.passed else 0


def record(file, name, result, message):
    suite = ET.Element("testsuite", name=name, tests="1")
    case = ET.SubElement(suite, "testcase", classname="", name=name)
    if result != "passed":
        tag = "failure" if result == "failed" else "skipped"
        ET.SubElement(case, tag, message=message)
    ET.ElementTree(suite).write(file, encoding="unicode")


def failed(file):
    for case in ET.parse(file).iter("testcase"):
        if of_case(case)[1]:
            print(f"tests/{case.get('classname').replace('.', '/')}.py::{case.get('name')}")


def again(file, second):
    """What failed in FILE and passed in SECOND counts as passed, and is said to have been tried twice."""
    name = lambda case: (case.get("classname", ""), case.get("name", ""))
    passed = {name(case) for case in ET.parse(second).iter("testcase") if of_case(case)[1] is False
              and not case.findall("skipped")}
    tree = ET.parse(file)
    for case in tree.iter("testcase"):
        faults = case.findall("failure") + case.findall("error")
        if faults and name(case) in passed:
            for node in faults:
                case.remove(node)
            print(f"  passed the second time only: {' '.join(name(case))}")
    tree.write(file, encoding="unicode")


if __name__ == "__main__":
    if sys.argv[1] == "record":
        record(*sys.argv[2:6])
    elif sys.argv[1] == "failed":
        failed(sys.argv[2])
    elif sys.argv[1] == "again":
        again(*sys.argv[2:4])
    else:
        sys.exit(summarize(sys.argv[2]))
