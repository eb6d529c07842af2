"""The samples that all sides share, prepared once by Nibble and laid down as arrays, and the float model as the peers need it."""
import numpy as np

VALIDATION = 0.1  # of an array Nibble sets so much aside, and calibrates on the rest


def calibration(folder, data, preprocess, count, draw):
    """Writes pictures.npy (what Nibble gets) and calibration.npy (the `count` of them that it calibrates on: what the peers get), drawn from
    the training part of `data` by the seed `draw`. Does nothing where they are there."""
    import nibble

    if (folder / "calibration.npy").exists():
        return
    folder.mkdir(parents=True, exist_ok=True)
    training = nibble.dataset(data, split="train", preprocess=preprocess)
    rows = np.random.default_rng(draw).permutation(len(training))[: round(count / (1 - VALIDATION))]
    pictures = str(folder / "pictures.npy")
    np.save(pictures, np.stack([training[int(row)]["input"] for row in rows]))
    chosen = nibble.dataset(pictures, split="train", seed=draw).arrays()["input"]
    if len(chosen) != count:
        raise SystemExit(f"{data}: of {len(rows)} training samples Nibble calibrates on {len(chosen)}, not on {count}; choose another --calibration")
    np.save(folder / "calibration.npy", chosen)


def test(folder, data, preprocess):
    """Writes test.npy and labels.npy. Does nothing where they are there."""
    import nibble

    if not (folder / "labels.npy").exists():
        judged = nibble.dataset(data, split="test", preprocess=preprocess).arrays()
        np.save(folder / "test.npy", judged["input"])
        np.save(folder / "labels.npy", judged["label"])


def modernize(source, target):
    """The same model of opset 13 or later, weights no inputs: scales per channel need the one, the peers the other."""
    import onnx
    from onnx import version_converter

    model = onnx.load(source)
    constants = {one.name for one in model.graph.initializer}
    if any(one.domain in ("", "ai.onnx") and one.version < 13 for one in model.opset_import):
        model = version_converter.convert_version(model, 13)
    inputs = [value for value in model.graph.input if value.name not in constants]
    del model.graph.input[:]
    model.graph.input.extend(inputs)
    model.ir_version = max(model.ir_version, 7)
    for number, node in enumerate(model.graph.node):
        node.name = node.name or f"{node.op_type}_{number}"
    onnx.save(model, target)
