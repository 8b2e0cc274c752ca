"""Runs inside a sandbox, beside the daemon that is measured, so that entering namespaces is no part of what is timed. Reads one JSON request from
standard input: {"commands": [[…]…], "parallel": N, "env": {…}}, and prints the seconds of each command, or, with "parallel", of all of them."""
import json
import os
import subprocess
import sys
import time


def once(command, env):
    begin = time.perf_counter()
    pid = os.posix_spawn(command[0], command, env, file_actions=[(os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0), (os.POSIX_SPAWN_OPEN, 1, "/dev/null", os.O_WRONLY, 0)])
    _, status = os.waitpid(pid, 0)
    took = time.perf_counter() - begin
    if status:
        sys.exit(f"{' '.join(command)}: exit {os.waitstatus_to_exitcode(status)}")
    return took


def together(commands, env, parallel):
    begin, running, left = time.perf_counter(), set(), list(commands)
    while running or left:
        while left and len(running) < parallel:
            running.add(subprocess.Popen(left.pop(0), env=env, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL))
        pid, status = os.wait()
        done = next(process for process in running if process.pid == pid)
        running.discard(done)
        done.returncode = status
        if status:
            sys.exit(f"{' '.join(done.args)}: exit {os.waitstatus_to_exitcode(status)}")
    return time.perf_counter() - begin


def main():
    request = json.load(sys.stdin)
    env = {**os.environ, **request.get("env", {})}
    if request.get("parallel"):
        print(json.dumps(together(request["commands"], env, request["parallel"])))
    else:
        print(json.dumps([once(command, env) for command in request["commands"]]))


main()
