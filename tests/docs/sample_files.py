"""The models and data that the documents' commands speak of, small and made here."""
import json
import subprocess
import wave
from pathlib import Path

import numpy as np
from onnx import TensorProto, helper, numpy_helper, save
from PIL import Image

RANDOM = np.random.default_rng(1)


class Net:
    """A graph under construction; every method returns the name of what it computes."""

    def __init__(self, **inputs):
        """inputs: name=(type, shape)."""
        self.inputs = [helper.make_tensor_value_info(name, kind, shape) for name, (kind, shape) in inputs.items()]
        self.nodes, self.constants, self.outputs = [], [], []

    def constant(self, array) -> str:
        self.constants.append(numpy_helper.from_array(np.asarray(array), f"constant_{len(self.constants)}"))
        return self.constants[-1].name

    def add(self, op, *inputs, name=None, output=None, **attributes) -> str:
        name = name or f"{op}_{len(self.nodes)}".lower()
        self.nodes.append(helper.make_node(op, inputs, [output or name + "_out"], name=name, **attributes))
        return output or name + "_out"

    def weights(self, *shape) -> str:
        fan_in = np.prod(shape[1:]) if len(shape) == 4 else shape[0]
        return self.constant(RANDOM.normal(0, fan_in**-0.5, shape).astype(np.float32))

    def conv(self, x, to, of, size, stride, name) -> str:
        return self.add("Conv", x, self.weights(to, of, size, size), self.constant(np.zeros(to, np.float32)), name=name, strides=[stride, stride])

    def product(self, x, rows, columns, name=None) -> str:
        return self.add("MatMul", x, self.weights(rows, columns), name=name)

    def output(self, name, shape) -> None:
        self.outputs.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, shape))

    def save(self, path: Path) -> None:
        graph = helper.make_graph(self.nodes, path.stem, self.inputs, self.outputs, self.constants)
        save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)


def classifier(path: Path) -> None:
    net = Net(image=(TensorProto.FLOAT, ["N", 3, 224, 224]))
    x = net.add("Relu", net.conv("image", 16, 3, 8, 8, "stem"))
    x = net.add("Relu", net.conv(x, 48, 16, 4, 4, "middle"))
    x = net.add("Flatten", net.add("GlobalAveragePool", x))
    net.add("Gemm", x, net.weights(48, 2), name="head", output="scores")
    net.output("scores", ["N", 2])
    net.save(path)


def detector(path: Path) -> None:
    net = Net(image=(TensorProto.FLOAT, [1, 3, 320, 320]))
    x = net.add("Relu", net.conv("image", 8, 3, 16, 16, "stem"))
    x = net.add("Relu", net.conv(x, 16, 8, 4, 4, "middle"))
    for kind, width in (("box", 4), ("score", 2)):
        head = net.conv(x, width, 16, 1, 1, f"{kind}_head")
        rows = net.add("Reshape", net.add("Transpose", head, perm=[0, 2, 3, 1]), net.constant(np.array([1, 25, width])))
        output = {"box": "boxes", "score": "scores"}[kind]
        net.add("Sigmoid", rows, output=output)
        net.output(output, [1, 25, width])
    net.save(path)


def denoiser(path: Path) -> None:
    net = Net(frame=(TensorProto.FLOAT, [1, 128]), state=(TensorProto.FLOAT, [1, 32]))
    total = net.add("Add", net.product("frame", 128, 32), net.product("state", 32, 32))
    state = net.add("Tanh", total, output="new_state")
    net.add("MatMul", state, net.weights(32, 128), output="clean")
    net.output("clean", [1, 128])
    net.output("new_state", [1, 32])
    net.save(path)


def text_model(path: Path, words: str, mask: bool, outputs: int) -> None:
    """An embedding and two layers for each word, the mean over the words for an encoder."""
    inputs = {words: (TensorProto.INT64, ["N", "S"])} | ({"attention_mask": (TensorProto.INT64, ["N", "S"])} if mask else {})
    net = Net(**inputs)
    x = net.add("Gather", net.weights(50, 64), words)
    if mask:
        x = net.add("Mul", x, net.add("Unsqueeze", net.add("Cast", "attention_mask", to=1), net.constant(np.array([2]))))
    x = net.add("Relu", net.product(x, 64, 128, "up"))
    net.add("MatMul", net.product(x, 128, 64, "down"), net.weights(64, outputs), name="output", output="logits")
    net.output("logits", ["N", "S", outputs])
    net.save(path)


def speech(path: Path) -> None:
    net = Net(sound=(TensorProto.FLOAT, [1, 160]))
    x = net.add("Relu", net.product("sound", 160, 64))
    net.add("Reshape", net.product(x, 64, 40), net.constant(np.array([10, 4])), output="logits")
    net.output("logits", [10, 4])
    net.save(path)


def pair(path: Path) -> None:
    net = Net(left=(TensorProto.FLOAT, ["N", 8]), right=(TensorProto.FLOAT, ["N", 8]))
    x = net.add("Relu", net.product(net.add("Concat", "left", "right", axis=1), 16, 16))
    net.add("MatMul", x, net.weights(16, 1), output="score")
    net.output("score", ["N", 1])
    net.save(path)


def picture(path: Path, width: int, height: int, warm: bool) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    coarse = RANDOM.integers(0, 255, (4, 4, 3), dtype=np.uint8)
    coarse[..., 2 * warm] //= 4
    Image.fromarray(coarse).resize((width, height)).save(path)


def pictures(folder: Path) -> None:
    notes = {"images": [], "annotations": [], "categories": [{"id": 1}, {"id": 2}]}
    for i in range(16):
        picture(folder / ("photos/cat" if i % 2 else "photos/dog") / f"{i}.jpg", 224, 224, bool(i % 2))
        for part in ("train", "test"):
            picture(folder / f"cifar/{part}" / ("cat" if i % 2 else "dog") / f"{i}.png", 32, 32, bool(i % 2))
    for i in range(6):
        width, height = 200 + 20 * i, 240
        picture(folder / f"frames/{i}.jpg", width, height, bool(i % 2))
        notes["images"].append({"id": i, "file_name": f"{i}.jpg", "width": width, "height": height})
        notes["annotations"].append({"image_id": i, "category_id": 1 + i % 2, "bbox": [20, 20, 60, 50]})
    for name in ("annotations.json", "notes.json"):
        (folder / name).write_text(json.dumps(notes))
    (folder / "images").symlink_to("frames")
    np.save(folder / "picture.npy", RANDOM.random((1, 3, 224, 224), np.float32))


def arrays(folder: Path) -> None:
    (folder / "recordings").mkdir()
    (folder / "clips").mkdir()
    for i in range(3):
        for name, points in (("recordings", 128 * 20), ("clips", 160)):
            with wave.open(str(folder / f"{name}/{i}.wav"), "wb") as file:
                file.setnchannels(1), file.setsampwidth(2), file.setframerate(16000)
                file.writeframes((RANDOM.normal(0, 3000, points)).astype(np.int16).tobytes())
    (folder / "alphabet.txt").write_text("_\na\nb\n \n")
    (folder / "transcripts.txt").write_text("ab a\nab\nb a\n")
    np.savez(folder / "sentences.npz", input_ids=RANDOM.integers(0, 50, (24, 10)), attention_mask=np.ones((24, 10), np.int64))
    np.savez(folder / "prompts.npz", tokens=RANDOM.integers(0, 50, (12, 16)))
    left, right = RANDOM.normal(0, 1, (2, 40, 8)).astype(np.float32)
    np.save(folder / "left.npy", left)
    np.save(folder / "right.npy", right)
    np.savez(folder / "pairs.npz", first=left, second=right)


def theirs(folder: Path) -> None:
    """The classifier, quantized by another tool."""
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, quantize_static

    class Pictures(CalibrationDataReader):
        def __init__(self):
            self.left = iter([{"image": RANDOM.random((1, 3, 224, 224), np.float32)} for _ in range(4)])

        def get_next(self):
            return next(self.left, None)

    quantize_static(folder / "classifier.onnx", folder / "theirs.onnx", Pictures(), quant_format=QuantFormat.QDQ, per_channel=True)


def make(folder: Path, nibble: str, root: Path) -> None:
    classifier(folder / "classifier.onnx")
    (folder / "model.onnx").symlink_to("classifier.onnx")
    detector(folder / "detector.onnx")
    denoiser(folder / "denoiser.onnx")
    text_model(folder / "encoder.onnx", "input_ids", True, 4)
    text_model(folder / "decoder.onnx", "tokens", False, 50)
    pair(folder / "pair.onnx")
    speech(folder / "speech.onnx")
    pictures(folder)
    arrays(folder)
    theirs(folder)
    (folder / "examples").symlink_to(root / "examples")

    def run(*words: str) -> None:
        subprocess.run([nibble, *words], cwd=folder, check=True, capture_output=True)

    run("quantize", "detector.onnx", "--data", "frames", "--letterbox", "320x320", "-o", "detector-int8.onnx")
    run("quantize", "speech.onnx", "--data", "clips", "-o", "speech-int8.onnx")
    run("train", "--arch", "resnet20", "--data", "cifar", "--epochs", "1", "-o", "resnet20.onnx")
    (folder / "nibble-demo").mkdir()
    run("train", "--arch", "digits-cnn", "--data", "digits", "--epochs", "1", "-o", "nibble-demo/float.onnx")
    run("quantize", "nibble-demo/float.onnx", "--data", "digits", "--weights", "4", "--activations", "4", "-o", "nibble-demo/ptq-w4a4.onnx")
