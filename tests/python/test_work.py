"""Long work: progress, Ctrl-C, threads."""

import os
import signal
import subprocess
import sys
import textwrap
import threading
import time

import numpy as np
import pytest
from conftest import make_model
from onnx import TensorProto, helper

import nibble


@pytest.fixture(scope="module")
def slow(tmp_path_factory):
    """A network of a few hundred million multiply-accumulates per sample."""
    random = np.random.default_rng(0)
    constants = {f"w{i}": random.normal(0, 0.06, (64, 64 if i else 3, 3, 3)).astype(np.float32) for i in range(4)}
    names = ["image", "c0", "c1", "c2", "out"]
    nodes = [
        helper.make_node("Conv", [names[i], f"w{i}"], [names[i + 1]], f"conv{i}", pads=[1, 1, 1, 1]) for i in range(4)
    ]
    model = make_model(
        nodes, [("image", TensorProto.FLOAT, ["N", 3, 64, 64])], [("out", TensorProto.FLOAT, ["N", 64, 64, 64])], constants
    )
    file = tmp_path_factory.mktemp("slow") / "slow.onnx"
    file.write_bytes(model.SerializeToString())
    return str(file)


def test_a_function_is_told_of_progress(path):
    calls = []
    nibble.quantize(path, "digits", progress=lambda *call: calls.append(call))
    assert calls and all(isinstance(stage, str) and 0 <= done <= total for stage, done, total in calls)
    assert any(done == total for _, done, total in calls)


def test_what_the_function_raises_stops_the_work(path):
    def stop(stage, done, total):
        raise StopIteration("enough")

    with pytest.raises(StopIteration, match="enough"):
        nibble.evaluate(path, "digits", progress=stop)
    assert nibble.evaluate(path, "digits")[0].n == 500  # and nothing is left behind


def test_a_bar_is_shown_when_work_takes_long_and_is_closed():
    pytest.importorskip("tqdm")
    from nibble import progress

    bars = []

    class Bar:
        def __init__(self, total, initial, desc, leave):
            self.n, self.total, self.desc, self.closed = initial, total, desc, False
            bars.append(self)

        def update(self, more):
            self.n += more

        def close(self):
            self.closed = True

    bar = progress._Bar(Bar)
    bar("calibrating", 0, 100)
    bar("calibrating", 1, 100)
    assert not bars  # not yet a second
    bar._started -= 2
    bar("calibrating", 40, 100)
    assert (bars[0].desc, bars[0].n, bars[0].total) == ("calibrating", 40, 100)
    bar("quantizing", 0, 3)
    assert bars[0].closed and len(bars) == 1


def run_and_interrupt(script, *arguments, after="started\n"):
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(script), *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
        # Tests that run in the background of a script inherit that SIGINT is ignored.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    assert process.stdout.readline() == after
    time.sleep(0.7)
    assert process.poll() is None, process.stderr.read()
    sent = time.monotonic()
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=30)
    return process.returncode, out, err, time.monotonic() - sent


@pytest.mark.parametrize(
    "work",
    [
        "nibble.quantize(sys.argv[1], data, calibration=10**6)",
        "nibble.analyze(sys.argv[1], data, samples=10**6)",
        "nibble.evaluate([sys.argv[1], sys.argv[1]], data)",
        "nibble.compare(sys.argv[1], sys.argv[1], data, samples=10**6)",
        "nibble.bench(sys.argv[1], seconds=100)",
    ],
)
def test_ctrl_c_stops_the_work_with_a_keyboard_interrupt(slow, work):
    script = f"""
    import sys, nibble, numpy as np
    data = np.zeros((4000, 3, 64, 64), np.float32) + np.float32(0.5)
    print("started")
    try:
        {work}
        print("finished")
    except KeyboardInterrupt:
        print("stopped")
    print(nibble.load(sys.argv[1]).opset)
    """
    code, out, err, seconds = run_and_interrupt(script, slow)
    assert (code, out) == (0, "stopped\n17\n"), err
    assert seconds < 10


def test_ctrl_c_stops_the_program_with_its_exit_code(slow, tmp_path):
    np.save(tmp_path / "x.npy", np.zeros((4000, 3, 64, 64), np.float32) + np.float32(0.5))
    script = """
    import sys
    from nibble.__main__ import main
    print("started")
    sys.exit(main(["quantize", sys.argv[1], "--data", sys.argv[2], "--calibration", "1000000", "-o", sys.argv[3]]))
    """
    output = tmp_path / "out.onnx"
    code, _, err, _ = run_and_interrupt(script, slow, str(tmp_path / "x.npy"), str(output))
    assert code == 130 and "stopped" in err and not output.exists()


def test_verbs_run_side_by_side_in_threads(path):
    wanted = nibble.quantize(path, "digits").to_bytes()
    results = []
    threads = [threading.Thread(target=lambda: results.append(nibble.quantize(path, "digits").to_bytes())) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [wanted] * 4


def test_data_that_take_the_gil_are_read_by_the_threads_of_the_library(path, digits):
    class Map:
        def __init__(self):
            self.readers = set()

        def __len__(self):
            return 400

        def __getitem__(self, index):
            self.readers.add(threading.get_ident())
            return digits["input"][index], int(digits["label"][index])

    data = Map()
    assert nibble.evaluate(path, data, threads=4)[0].n == 400 and data.readers


def test_python_handles_its_signals_again_when_the_command_line_is_done(path):
    from nibble.__main__ import main

    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        assert main(["ops", "Conv", "--json"]) == 0
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(5)
    finally:
        signal.signal(signal.SIGINT, before)
    assert nibble.quantize(path, "digits").quantized


def test_the_program_is_the_command_line(path, tmp_path):
    def run(*arguments):
        return subprocess.run([sys.executable, "-m", "nibble", *arguments], capture_output=True, text=True, cwd=tmp_path)

    assert run("--version").stdout.splitlines()[0] == f"nibble {nibble.__version__}"
    assert "quantize" in run("--help").stdout
    assert run("inspect", "nowhere.onnx").returncode == 1 and run("qantize").returncode == 2
    assert "did you mean 'quantize'" in run("qantize").stderr
    table = run("bench", path, "--seconds", "0.05").stdout  # peak memory is measured in a process of its own
    assert "MB" in table and "?" not in table
