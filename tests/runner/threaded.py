"""A third party's executor, as one local plugin file: runs as on another machine, each heard of by a thread."""

import pickle
import threading
from multiprocessing import Pipe

import genbench
from genbench.errors import UsageError
from genbench.runner.executor import Executor, Slot
from genbench.runner.remote import Order, RemoteExecution, carry_out

GENBENCH_API = 1
ORDERS, CLOSED = [], []


@genbench.hookimpl
def genbench_executors():
    yield genbench.ExecutorEntry("threaded", "threaded:Threaded", summary="threads")


class Threaded(Executor):
    def __init__(self, address):
        if address == "nowhere":
            raise UsageError("there is nothing at nowhere")
        self.address = address

    def slots(self, jobs, gpus):
        return [Slot(threads=1)] * (jobs or 1)

    def start(self, job):
        ORDERS.append(job.spec.label)
        return Thread(job, self.address)

    def close(self):
        CLOSED.append(self.address)


class Thread(RemoteExecution):
    def __init__(self, job, address):
        here, there = Pipe(duplex=False)
        super().__init__(job, here)
        self.sent = pickle.dumps(Order.of(job))
        self.thread = threading.Thread(target=self.send, args=(there, address))
        self.thread.start()

    def send(self, there, address):
        with there:
            for event in carry_out(pickle.loads(self.sent)):  # noqa: S301  # it was made here
                if event["phase"] == "training" and address == "lossy":
                    there.send({"phase": "lost", "reason": "the cable was cut"})
                    return
                if event["phase"] == "end" and address == "forger":
                    event["files"]["../../../escaped"] = b"bad"
                there.send(event)

    def stop(self):
        self.connection.close()
        self.thread.join()
