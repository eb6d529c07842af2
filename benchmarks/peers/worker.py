"""What the program of every peer has in common: its arguments, its calibration samples, its threads.

A program is run as `with_PEER.py METHOD FLOAT SAMPLES.npy OUTPUT [--weights N] [--activations N] [--threads N]`, in a process and an
environment of its own: it reads the float ONNX file, calibrates on every row of SAMPLES, and writes OUTPUT.
"""
import argparse
import os

BITS = (8, 4, 3, 2)


def arguments(methods):
    """The parsed command line. `methods` are the names that METHOD may be. Threads are limited at once, before anything heavy is imported."""
    parser = argparse.ArgumentParser()
    parser.add_argument("method", choices=methods)
    parser.add_argument("model", help="float ONNX file, of opset 13 or later")
    parser.add_argument("samples", help="float32 [N, ...], what the model's input takes")
    parser.add_argument("output")
    parser.add_argument("--weights", type=int, choices=BITS, default=8)
    parser.add_argument("--activations", type=int, choices=BITS, default=8)
    parser.add_argument("--threads", type=int, default=1)
    given = parser.parse_args()
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ[name] = str(given.threads)
    return given


def limit_onnxruntime(threads):
    """Every session that a peer makes from now on has so many threads: their quantizers have no setting for it."""
    import onnxruntime

    class Options(onnxruntime.SessionOptions):
        def __init__(self):
            super().__init__()
            self.intra_op_num_threads = threads
            self.inter_op_num_threads = 1
            self.log_severity_level = 3

    onnxruntime.SessionOptions = Options


def samples(path, batch=1):
    """The samples as contiguous arrays [batch, ...], read from the file as they are asked for."""
    import numpy as np

    rows = np.load(path, mmap_mode="r")
    return [np.ascontiguousarray(rows[i : i + batch]) for i in range(0, len(rows), batch)] if batch > 1 else _Rows(rows)


class _Rows:
    """One row at a time, as an array with a batch of one: nothing stays in memory."""

    def __init__(self, rows):
        self._rows = rows

    def __len__(self):
        return len(self._rows)

    def __getitem__(self, index):
        import numpy as np

        if index >= len(self._rows):
            raise IndexError(index)
        return np.ascontiguousarray(self._rows[index : index + 1])


def layers(model):
    """The nodes Conv, Gemm and MatMul with constant weights, in order. Nibble keeps the first and the last at 8 bits; so are the peers told to."""
    constants = {one.name for one in model.graph.initializer}
    constants |= {node.output[0] for node in model.graph.node if node.op_type == "Constant"}
    return [node for node in model.graph.node if node.op_type in ("Conv", "Gemm", "MatMul") and node.input[1] in constants]
