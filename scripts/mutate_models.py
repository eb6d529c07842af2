#!/usr/bin/env python3
"""Runs nibble inspect, quantize and run on broken copies of models, and reports what a user should never see.

usage: mutate_models.py NIBBLE [--models FOLDER | --seeds MAKE_SEEDS] [--count 10000] [--seed 0] [--jobs 2] [--keep FOLDER]

Each copy gets a few changes: bytes flipped, cut, moved or inserted, lengths and dimensions made huge, and, where the
Python package onnx is there, operators, operands, attributes, shapes and types changed inside a valid file. Models are
taken from FOLDER (the smaller ones), else made by the program MAKE_SEEDS (build/bin/make_seeds). Every command has 10 s
and 2 GB. A finding is a signal, a hang, an exit code other than 0, 1 and 2, an error that is not one sentence, and a
raw exception. The file of a finding is kept in --keep. Exits with 1 if there are any.
"""
import argparse
import collections
import concurrent.futures
import math
import os
import pathlib
import random
import re
import struct
import subprocess
import sys
import tempfile

try:
    import onnx
except ImportError:
    onnx = None

SECONDS, KILOBYTES = 10, 2 * 1024 * 1024
LARGEST = 3_000_000  # bytes of a model that is taken
RAW = re.compile(r"internal error at|terminate called|std::|basic_string|vector::|map::|_M_|bad_|regex|stoi|stol|json\.exception"
                 r"|optional|variant|filesystem error|libprotobuf|runtime error:|AddressSanitizer")
NUMPY = {"f32": "<f4", "f64": "<f8", "f16": "<f2", "i64": "<i8", "i32": "<i4", "i16": "<i2", "i8": "<i1", "u8": "<u1", "bool": "|b1"}


def change_bytes(data, rng):
    """One change that knows nothing of the format."""
    data = bytearray(data)
    at = rng.randrange(len(data) or 1)
    kind = rng.randrange(7)
    if kind == 0:
        data[at:at + 1] = bytes([rng.randrange(256)])
    elif kind == 1 and data:
        data[at] ^= 1 << rng.randrange(8)
    elif kind == 2:
        del data[at:]
    elif kind == 3:
        del data[at:at + rng.choice((1, 2, 7, 64))]
    elif kind == 4:
        start = rng.randrange(len(data) or 1)
        data[at:at] = data[start:start + rng.choice((1, 8, 100))]
    elif kind == 5:  # a varint: a length, a dimension, an enumeration
        data[at:at + 1] = rng.choice((b"\xff\xff\xff\xff\x07", b"\x80\x80\x80\x80\x10", b"\xff" * 9 + b"\x01", b"\x00"))
    else:
        data[at:at + 4] = struct.pack("<f", rng.choice((float("nan"), float("inf"), 0.0, -1e30, 1e-40)))
    return bytes(data)


def change_graph(data, rng, op_types):
    """One change inside a valid file."""
    model = onnx.ModelProto.FromString(data)
    graph = model.graph
    if not graph.node:
        return change_bytes(data, rng)
    node = rng.choice(graph.node)
    names = [n for other in graph.node for n in (*other.input, *other.output)] or [""]
    kind = rng.randrange(9)
    if kind == 0:
        node.op_type = rng.choice(op_types)
    elif kind == 1 and node.input:
        node.input[rng.randrange(len(node.input))] = rng.choice((*names, "", "missing"))
    elif kind == 2 and node.attribute:
        attribute = rng.choice(node.attribute)
        attribute.i = rng.choice((-1, 0, 7, 1 << 40, -(1 << 63)))
        if attribute.ints:
            attribute.ints[rng.randrange(len(attribute.ints))] = rng.choice((-3, 0, 5, 1 << 33))
        else:
            attribute.f = rng.choice((0.0, float("nan"), -1.0))
    elif kind == 3 and node.attribute:
        del node.attribute[rng.randrange(len(node.attribute))]
    elif kind == 4 and graph.initializer:
        tensor = rng.choice(graph.initializer)
        if tensor.dims:
            tensor.dims[rng.randrange(len(tensor.dims))] = rng.choice((0, 1, -1, 5, 1 << 31, 1 << 62))
    elif kind == 5 and graph.initializer:
        rng.choice(graph.initializer).data_type = rng.randrange(26)
    elif kind == 6:
        value = rng.choice((*graph.input, *graph.output, *graph.value_info) or (onnx.ValueInfoProto(),))
        shape = value.type.tensor_type.shape
        if shape.dim:
            shape.dim[rng.randrange(len(shape.dim))].dim_value = rng.choice((0, 1, 3, -1, 1 << 20, 1 << 62))
        value.type.tensor_type.elem_type = rng.randrange(1, 24)
    elif kind == 7:
        graph.node.remove(node)
    else:
        model.opset_import[0].version = rng.randrange(1, 30) if model.opset_import else 0
    return model.SerializeToString()


def mutate(data, rng, op_types):
    for _ in range(rng.choice((1, 1, 2, 4))):
        try:
            data = change_graph(data, rng, op_types) if onnx and rng.random() < 0.6 else change_bytes(data, rng)
        except Exception:  # no longer a model that onnx reads, or a number that it refuses
            data = change_bytes(data, rng)
    return data


def write_npy(path, dtype, shape):
    """An array of zeros."""
    header = "{'descr': '%s', 'fortran_order': False, 'shape': (%s), }" % (dtype, "".join(f"{dim}," for dim in shape))
    header += " " * (-(len(header) + 11) % 64) + "\n"
    size = int(dtype[-1]) * math.prod(shape)
    path.write_bytes(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header.encode() + bytes(size))
    return path


def write_inputs(nibble, model, folder):
    """What `nibble run --input` and `nibble quantize --data` take for this model: zeros. Open sizes are 1."""
    said = subprocess.run([nibble, "run", model], capture_output=True, text=True).stderr
    arguments, data = [], "digits"
    inputs = re.findall(r"'([^']*)' (\w+)\[([\d?,]*)\]", said.partition("the model takes")[2])
    for i, (name, dtype, dims) in enumerate(inputs):
        shape = [1 if dim == "?" else int(dim) for dim in dims.split(",") if dim]
        if dtype not in NUMPY:
            return [], data
        path = folder / f"{pathlib.Path(model).stem}.{i}.npy"
        arguments += ["--input", f"{name}={write_npy(path, NUMPY[dtype], shape)}"]
        if len(inputs) == 1 and dtype == "f32" and shape:
            labels = write_npy(path.with_suffix(".labels.npy"), "<i8", [4])
            data = f"{write_npy(path.with_suffix('.samples.npy'), NUMPY[dtype], [4, *shape[1:]])},{labels}"
    return arguments, data


def verdict(status, said):
    """What is wrong with how a command ended; empty if nothing is."""
    if status == 124 or status == 137:
        return "hang"
    if status >= 128:
        return f"signal {status - 128}"
    if status not in (0, 1, 2):
        return f"exit code {status}"
    if status == 1 and (said.count("\n") != 1 or not said.startswith("nibble: ")):
        return "not one sentence"
    if raw := RAW.search(said):
        return f"raw exception ({raw.group()})"
    return ""


def try_file(nibble, path, inputs, data, folder):
    out = folder / (path.stem + ".out")
    quantize = [[], ["--dynamic"], ["--weights", "4"], ["--activations", "none", "--weights", "4", "--block-size", "16"]]
    commands = {
        "inspect": ["inspect", path],
        "quantize": ["quantize", path, "--data", data, "-o", out, "--threads", "1", *quantize[int(path.stem) % len(quantize)]],
        "run": ["run", path, "--threads", "1", *inputs],
    }
    found, ended_with = [], []
    for name, arguments in commands.items():
        line = f'ulimit -v {KILOBYTES} -c 0; exec timeout -k 2 {SECONDS} "$@"'
        ended = subprocess.run(["bash", "-c", line, "bash", nibble, *map(str, arguments)], stdin=subprocess.DEVNULL,
                               stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        said = ended.stderr.decode(errors="replace")
        # The shell that called exec is the command now: a signal shows as a negative number.
        status = 128 - ended.returncode if ended.returncode < 0 else ended.returncode
        ended_with.append((name, status))
        if wrong := verdict(status, said):
            found.append((wrong, name, said.strip().splitlines()[:2]))
    out.unlink(missing_ok=True)
    return found, ended_with


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("nibble")
    parser.add_argument("--models", type=pathlib.Path)
    parser.add_argument("--seeds", default="build/bin/make_seeds")
    parser.add_argument("--count", type=int, default=10000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    parser.add_argument("--keep", type=pathlib.Path)
    options = parser.parse_args()
    nibble = str(pathlib.Path(options.nibble).resolve())

    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        if options.models is None:
            subprocess.run([options.seeds, folder / "seeds"], check=True)
        source = options.models or folder / "seeds" / "read_onnx"
        models = sorted(p for p in source.glob("*.onnx") if p.stat().st_size <= LARGEST)
        if not models:
            sys.exit(f"mutate_models.py: no .onnx file of at most {LARGEST} bytes in {source}")
        originals = [(p.read_bytes(), *write_inputs(nibble, p, folder)) for p in models]
        op_types = sorted({n.op_type for d, *_ in originals for n in onnx.ModelProto.FromString(d).graph.node}) if onnx else []
        findings, statuses = collections.Counter(), collections.Counter()

        def attempt(number):
            rng = random.Random(f"{options.seed}/{number}")
            original, inputs, dataset = rng.choice(originals)
            path = folder / f"{number}.onnx"
            path.write_bytes(mutate(original, rng, op_types))
            found, ended_with = try_file(nibble, path, inputs, dataset, folder)
            if found and options.keep:
                options.keep.mkdir(parents=True, exist_ok=True)
                path.rename(options.keep / path.name)
            else:
                path.unlink()
            return number, found, ended_with

        with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
            for number, found, ended_with in pool.map(attempt, range(options.count)):
                statuses.update(ended_with)
                for wrong, command, said in found:
                    findings[wrong.split(" (")[0]] += 1
                    print(f"{number}.onnx: {command}: {wrong}: {' | '.join(said)[:300]}", flush=True)
        summary = ", ".join(f"{count} {what}" for what, count in findings.items()) or "no findings"
        endings = ", ".join(f"{command} gave {status} {count} times" for (command, status), count in sorted(statuses.items()))
        print(f"{options.count} files from {len(models)} models ({endings}): {summary}")
        sys.exit(1 if findings else 0)


if __name__ == "__main__":
    main()
