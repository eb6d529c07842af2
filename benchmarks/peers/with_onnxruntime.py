"""onnxruntime.quantization.quantize_static: QDQ, weights per output channel, activations unsigned. METHOD is the calibration."""
import os

import worker

METHODS = {"min-max": "MinMax", "percentile": "Percentile", "entropy": "Entropy"}


def main():
    given = worker.arguments(METHODS)
    worker.limit_onnxruntime(given.threads)
    import onnx
    import onnxruntime
    from onnxruntime.quantization import CalibrationDataReader, CalibrationMethod, QuantFormat, QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    weights = {8: QuantType.QInt8, 4: QuantType.QInt4}[given.weights]
    activations = {8: QuantType.QUInt8, 4: QuantType.QUInt4}[given.activations]
    name = onnxruntime.InferenceSession(given.model, onnxruntime.SessionOptions()).get_inputs()[0].name

    class Reader(CalibrationDataReader):
        def __init__(self):
            self._samples = iter(worker.samples(given.samples))

        def get_next(self):
            sample = next(self._samples, None)
            return None if sample is None else {name: sample}

    prepared = given.output + ".prepared.onnx"
    quant_pre_process(given.model, prepared, skip_symbolic_shape=True)
    first, *_, last = worker.layers(onnx.load(prepared))
    overrides = {}
    if given.weights < 8:
        overrides |= {node.input[1]: [{"quant_type": QuantType.QInt8, "axis": 0}] for node in (first, last)}
    if given.activations < 8:
        overrides |= {value: [{"quant_type": QuantType.QUInt8}] for value in (first.input[0], last.input[0], last.output[0])}
    quantize_static(prepared, given.output, Reader(), quant_format=QuantFormat.QDQ, per_channel=True, activation_type=activations,
                    weight_type=weights, calibrate_method=getattr(CalibrationMethod, METHODS[given.method]),
                    extra_options={"TensorQuantOverrides": overrides} if overrides else {})
    os.remove(prepared)


if __name__ == "__main__":
    main()
