"""What `astill check` expects, against what the benchmarks and whole runs take."""
import json, os, subprocess, tempfile
from datetime import datetime

SMALL = {"network.width": 8, "distill.syn_steps": 4}


class Estimates:
    """Prints a table; `failed` tells whether a program did."""

    def __init__(self, astill, data, threads, smoke):
        self.astill, self.data, self.smoke, self.failed = astill, data, smoke, False
        self.threads = str(threads)
        self.environment = dict(os.environ, OMP_NUM_THREADS=self.threads)

    def said(self, *words):
        """The JSON that a command prints."""
        done = subprocess.run([self.astill, *words, "--json"], env=self.environment, stdout=subprocess.PIPE, text=True)
        self.failed |= done.returncode != 0
        return json.loads(done.stdout) if done.returncode == 0 else None

    def arguments(self, profile, settings):
        settings = {**settings, **(SMALL if self.smoke else {})}
        return [profile, "--data", self.data, "--device", "cpu", *(f"--set={key}={value}" for key, value in settings.items())]

    def expected(self, profile, **settings):
        found = self.said("check", *self.arguments(profile, {key.replace("__", "."): value for key, value in settings.items()}))
        return found and found["estimate"]

    def measured(self, kind, *options):
        network = ["--width", "8"] if self.smoke and kind != "data" else []
        return self.said("bench", kind, "--threads", self.threads, *network, *options)

    def width(self, width):
        return SMALL["network.width"] if self.smoke else width

    def row(self, what, unit, expected, measured):
        digits = 2 if measured < 10 else 0
        print(f"{what:<44}{expected:>10.{digits}f}{measured:>10.{digits}f} {unit:<4}{expected / measured:>8.2f}", flush=True)

    def iteration(self, ipc):
        steps = 4 if self.smoke else 20
        bench = self.measured("student", "--ipc", str(ipc), "--syn-steps", str(steps), "--iterations", "3")
        estimate = self.expected(f"cifar10-ipc{ipc}", distill__syn_steps=steps)
        if bench and estimate:
            self.row(f"iteration, ipc {ipc} × {steps} steps", "s", estimate["iteration_seconds"], bench["seconds_per_iteration"])

    def phases(self):
        """Data, an expert's epoch, evaluations of one network."""
        epochs = 10 if self.smoke else 1000
        settings = dict(dataset__validation=0, distill__iterations=1, expert__count=1, expert__train_epochs=4, expert__gradient_penalty=2,
                        evaluate__repeats=1, evaluate__epochs=epochs)
        estimate = self.expected("cifar10-ipc1", **settings)
        step = self.measured("expert", "--batch", "256", "--steps", "3")
        evaluation = self.measured("evaluate", "--ipc", "1", "--epochs", str(epochs))
        data = self.measured("data", "--data", self.data, "--train-limit", "50000")
        if not (estimate and step and evaluation and data):
            return
        train, tested = data["train"], evaluation["test_s"] * data["test"] / evaluation["test"]
        self.row("loading and ZCA", "s", estimate["data_seconds"], data["seconds"])
        self.row("epoch of an expert", "s", estimate["experts_seconds"] / 4, step["seconds_per_step"] * train / 256)
        # two baselines, one on the way, three of the result; the training images go through once for the representative ones
        rounds = 6 * (evaluation["train_s"] + tested) + evaluation["test_s"] * train / evaluation["test"]
        self.row(f"six evaluations, {epochs} epochs", "s", estimate["evaluate_seconds"], rounds)

    def run(self, what, profile, **settings):
        """Time and memory of a whole run."""
        estimate = self.expected(profile, **settings)
        with tempfile.TemporaryDirectory() as folder:
            settings = {key.replace("__", "."): value for key, value in settings.items()}
            words = [self.astill, "run", *self.arguments(profile, settings), "--runs", folder, "--name", "run"]
            child = subprocess.Popen(words, env=self.environment, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                     stderr=subprocess.PIPE)
            said = child.stderr.read().decode()
            _, status, usage = os.wait4(child.pid, 0)
            child.returncode = os.waitstatus_to_exitcode(status)
            if child.returncode:
                print(f"{' '.join(words)} failed:\n{said}")
                self.failed = True
                return
            with open(os.path.join(folder, "run/events.jsonl")) as file:
                events = [json.loads(line) for line in file]
        if estimate:
            begin, end = (datetime.fromisoformat(events[at]["time"].replace("Z", "+00:00")) for at in (0, -1))
            self.row(f"{what}: time", "s", estimate["seconds"], (end - begin).total_seconds())
            self.row(f"{what}: memory", "MiB", estimate["host_mib"], usage.ru_maxrss / 1024)

    def all(self):
        print(f"{'what astill check expects':<44}{'expected':>10}{'measured':>10}     {'ratio':>8}", flush=True)
        self.iteration(1)
        self.iteration(10)
        self.phases()
        self.run("run of shapes", "shapes", **(dict(distill__iterations=2, evaluate__epochs=5) if self.smoke else {}))
        width = self.width(16)
        self.run(f"run of CIFAR-10, width {width}, 4 epochs, ipc 1", "cifar10-ipc1", network__width=width, expert__count=1, expert__train_epochs=4,
                 distill__iterations=20, distill__syn_steps=20, evaluate__repeats=1, evaluate__epochs=2 if self.smoke else 100)
