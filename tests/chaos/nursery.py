"""Real job processes that start in a moment: this process imports everything once, then forks one child a request.

It never opens a client itself, so its children are as good as new. Requests and answers are JSON, a line each.
"""

import contextlib
import json
import os
import random
import resource
import signal
import sys
import threading
import time
import traceback

from models.bundle import Bundle
from pipeline import faults
from pipeline.app import make_job, make_rekey, make_watch, plan_of
from pipeline.cli.run import stop_on_signals
from pipeline.errors import StoreFailed
from pipeline.operate.log import set_up
from pipeline.settings import load
from pipeline.warm import compile_kernels

NOBODY = 65534


def work(request):
    """A job from its first line to its last, in a fresh child."""
    log = os.open(request["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.environ["FORESHOCK_FAULTS_LOG"] = request["faults_log"]
    faults.arm(request["faults"])
    if request["jumps"]:
        jump_clock(random.Random(request["jumps"]))
    set_up("text")
    settings = load(None, request["overrides"]).settings
    job = make_rekey(settings) if request.get("job") == "rekey" else make_job(settings)
    stop_on_signals(job.stop)
    if request.get("nobody") and os.geteuid() == 0:  # root may write into any folder
        os.setgroups([])
        os.setgid(NOBODY)
        os.setuid(NOBODY)
    if "most_bytes" in request:  # of a file, as a quota would have it
        resource.setrlimit(resource.RLIMIT_FSIZE, (request["most_bytes"], resource.RLIM_INFINITY))
    if request.get("registry"):
        make_watch(settings, job).start()
    if request["models"]:
        threading.Thread(target=offer, args=(job, request["models"]), daemon=True).start()
    job.run()


def offer(job, shifts):
    """Offer one model after the other, as a registry that somebody promotes in would."""
    for n, shift in enumerate(shifts):
        time.sleep(0.8)
        with contextlib.suppress(StoreFailed):
            job.serve_model(Bundle("chaos", str(n), threshold_shift=shift))


def jump_clock(chance):
    """Let the system's clock jump back and forth by up to half an hour; what measures durations goes on evenly."""
    honest, offset = time.time, 0.0

    def jumping():
        nonlocal offset
        if chance.random() < 0.01:
            offset = chance.uniform(-1800, 1800)
        return honest() + offset

    time.time = jumping
    time.time_ns = lambda: int(jumping() * 1e9)


def main():
    """Fork until nobody asks any more."""
    compile_kernels(plan_of(load(None, []).settings))
    print("ready", flush=True)
    for line in sys.stdin:
        request = json.loads(line)
        if request["do"] == "start":
            child = os.fork()
            if child == 0:
                signal.signal(signal.SIGINT, signal.SIG_DFL)
                code = 1
                try:
                    work(request)
                    code = 0
                except BaseException:
                    traceback.print_exc()
                finally:
                    sys.stderr.flush()
                    os._exit(code)
            print(json.dumps(child), flush=True)
        else:
            try:
                ended, status = os.waitpid(request["pid"], os.WNOHANG)
            except ChildProcessError:
                ended, status = request["pid"], 0
            print(json.dumps(None if not ended else os.waitstatus_to_exitcode(status)), flush=True)


if __name__ == "__main__":
    main()
