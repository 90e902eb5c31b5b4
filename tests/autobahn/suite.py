"""Runs cases of the Autobahn|Testsuite and judges them strictly.

    suite.py SOURCES server HOST:PORT/PATH OUT PATTERN…   the suite is the client, the server is judged
    suite.py SOURCES client PORT OUT PATTERN… -- COMMAND  the suite is the server, COMMAND (a client) is judged

A pattern is a case number or a glob on one (`9.*`). `--jobs N` deals the cases out to N processes (server only).
The exit code is 0 only when every case was OK (the three that only inform excepted) and closed as it must.
"""

import contextlib
import fnmatch
import json
import os
import subprocess
import sys
import time

import python2

# Cases in which any behaviour is lawful: the suite only reports it.
INFORMING = {"7.1.6", "7.13.1", "7.13.2"}


def number(case):
    return [int(part) for part in case.split(".")]


def choose(patterns):
    from autobahntestsuite.case import Cases

    known = sorted((case.__name__[4:].replace("_", ".") for case in Cases), key=number)
    for pattern in patterns:
        if not fnmatch.filter(known, pattern):
            sys.exit(f"no case is called {pattern}")
    return [case for case in known if any(fnmatch.fnmatchcase(case, pattern) for pattern in patterns)]


def collect(fuzzing):
    """Keeps results in memory; the suite's own report writer is not used."""
    results = {}

    def log_case(self, result):
        results[result["id"]] = {key: result[key] for key in ("behavior", "behaviorClose", "remoteCloseCode", "duration", "result", "resultClose")}

    fuzzing.FuzzingFactory.logCase = log_case
    fuzzing.FuzzingFactory.createReports = lambda self, **options: None
    return results


def run_as_client(cases, target):
    """The suite connects once for each case."""
    from twisted.internet import reactor

    fuzzing = python2.mend()
    results = collect(fuzzing)
    fuzzing.startClient(
        {"servers": [{"agent": "ours", "url": f"ws://{target}"}], "cases": cases, "exclude-cases": [], "exclude-agent-cases": {}}
    )
    reactor.run()
    return results


def run_as_server(cases, port, command):
    """The suite listens; the client asks how many cases there are and connects for each."""
    from twisted.internet import reactor, threads

    fuzzing = python2.mend()
    results = collect(fuzzing)
    fuzzing.startServer({"url": f"ws://127.0.0.1:{port}", "cases": cases, "exclude-cases": [], "exclude-agent-cases": {}}, None)

    def until_over():
        code = subprocess.call(command)
        if code:
            print(f"the client ended with {code}", file=sys.stderr)

    # A moment later, because the last connection's end is an event like any other.
    threads.deferToThread(until_over).addBoth(lambda _: reactor.callLater(1, reactor.stop))
    reactor.run()
    return results


def deal_out(cases, jobs, sources, target, out):
    """One process for every part of the cases; their results together."""
    running, results = [], {}
    for part in range(jobs):
        own = cases[part::jobs]
        if own:
            path = os.path.join(out, f"part-{part}")
            command = [sys.executable, __file__, sources, "server", target, path, *own]
            log = open(path + ".log", "w", encoding="utf-8")
            running.append((path, subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)))
    for path, process in running:
        process.wait()
        try:
            with open(os.path.join(path, "results.json"), encoding="utf-8") as file:
                results.update(json.load(file))
        except FileNotFoundError:
            print(f"a part of the suite gave no results; see {path}.log", file=sys.stderr)
    return results


def is_right(case, result):
    informs = case in INFORMING and result["behavior"] == "INFORMATIONAL"
    closes = result["behaviorClose"] == "OK" or (informs and result["behaviorClose"] == "INFORMATIONAL")
    return (informs or result["behavior"] == "OK") and closes


def judge(cases, results, seconds):
    """Prints a table and what is wrong; returns the exit code."""
    print(f"{'cases':<8}{'run':>5}{'OK':>5}{'informational':>15}{'non-strict':>12}{'unimplemented':>15}{'failed':>8}{'wrong close':>13}")
    groups = list(dict.fromkeys(case.split(".")[0] for case in cases))
    for group in [*groups, "all"]:
        rows = [results[case] for case in cases if group in ("all", case.split(".")[0]) and case in results]
        kinds = [row["behavior"] for row in rows]
        known = [kinds.count(kind) for kind in ("OK", "INFORMATIONAL", "NON-STRICT", "UNIMPLEMENTED")]
        closes = sum(row["behaviorClose"] not in ("OK", "INFORMATIONAL") for row in rows)
        ok, informational, non_strict, unimplemented = known
        failed = len(rows) - sum(known)
        print(f"{group:<8}{len(rows):>5}{ok:>5}{informational:>15}{non_strict:>12}{unimplemented:>15}{failed:>8}{closes:>13}")
    missing = [case for case in cases if case not in results]
    wrong = [case for case in cases if case in results and not is_right(case, results[case])]
    for case in wrong[:40]:
        row = results[case]
        print(f"  {case}: {row['behavior']} ({row['result']}); close {row['behaviorClose']} ({row['resultClose']})")
    if missing:
        print(f"  without a result: {' '.join(missing[:40])}")
    print(f"{len(cases)} cases in {seconds:.0f} s: {len(cases) - len(wrong) - len(missing)} right, {len(wrong)} wrong, {len(missing)} missing")
    return 1 if wrong or missing else 0


def main():
    arguments = sys.argv[1:]
    command = []
    if "--" in arguments:
        at = arguments.index("--")
        arguments, command = arguments[:at], arguments[at + 1 :]
    jobs = 1
    if "--jobs" in arguments:
        at = arguments.index("--jobs")
        jobs = int(arguments[at + 1])
        del arguments[at : at + 2]
    sources, role, target, out, *patterns = arguments
    python2.install(os.path.abspath(sources))
    os.makedirs(out, exist_ok=True)
    cases = choose(patterns or ["*"])
    began = time.monotonic()
    # The suite tells every case on standard output.
    with open(os.path.join(out, "suite.log"), "w", encoding="utf-8") as log, contextlib.redirect_stdout(log):
        if role == "client":
            results = run_as_server(cases, int(target), command)
        elif jobs > 1:
            results = deal_out(cases, jobs, sources, target, out)
        else:
            results = run_as_client(cases, target)
    with open(os.path.join(out, "results.json"), "w", encoding="utf-8") as file:
        json.dump(results, file, indent=1)
    return judge(cases, results, time.monotonic() - began)


if __name__ == "__main__":
    sys.exit(main())
