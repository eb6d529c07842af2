"""Runs a command and prints [wall seconds, CPU seconds, peak MB] as JSON; its own output goes to a log. A program of its own, and a small
one: a child's peak begins with its parent's. Usage: measure.py LOG LIMIT_GB COMMAND..."""
import json
import os
import resource
import subprocess
import sys
import time


def main():
    log, limit, command = sys.argv[1], float(sys.argv[2]), sys.argv[3:]
    if limit > 0:
        resource.setrlimit(resource.RLIMIT_AS, (int(limit * 1e9), int(limit * 1e9)))
    started = time.monotonic()
    with open(log, "wb") as file:
        process = subprocess.Popen(command, stdout=file, stderr=subprocess.STDOUT)
        _, status, usage = os.wait4(process.pid, 0)
    print(json.dumps([time.monotonic() - started, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1000]))
    sys.exit(0 if os.waitstatus_to_exitcode(status) == 0 else 1)


if __name__ == "__main__":
    main()
