"""nncf.quantize on the ONNX model; METHOD names the settings. 8 bits is all that NNCF writes into ONNX files."""
import worker

METHODS = {
    "default": {},
    "mixed": {"preset": "MIXED"},  # asymmetric activations
    "mixed, accurate bias": {"preset": "MIXED", "fast_bias_correction": False},
}


def settings(nncf, method):
    given = dict(METHODS[method])
    if "preset" in given:
        given["preset"] = getattr(nncf.QuantizationPreset, given["preset"])
    return given


def main():
    given = worker.arguments(METHODS)
    worker.limit_onnxruntime(given.threads)
    import nncf
    import onnx

    model = onnx.load(given.model)
    name = model.graph.input[0].name
    samples = worker.samples(given.samples)
    dataset = nncf.Dataset(samples, lambda sample: {name: sample})
    onnx.save(nncf.quantize(model, dataset, subset_size=len(samples), **settings(nncf, given.method)), given.output)


if __name__ == "__main__":
    main()
