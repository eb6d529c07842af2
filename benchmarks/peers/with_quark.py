"""AMD Quark's ModelQuantizer on the ONNX model. METHOD is one of its presets, or the settings nearest to those of the other peers."""
import os
import tempfile

import worker

LEARNED = {"adaround": "adaround", "adaquant": "adaquant"}
METHODS = ("A8W8", "A8W8 adaround", "A8W8 adaquant", "channels", "channels adaround", "channels adaquant", "XINT8")


def configuration(method):
    """A8W8 and XINT8: as Quark's tables of presets have them. "channels": scales per output channel of weights, unsigned activations with a
    zero point, ranges by the mean squared error."""
    from quark.onnx import AdaQuantConfig, AdaRoundConfig
    from quark.onnx.quantization.config import custom_config
    from quark.onnx.quantization.config.config import QConfig
    from quark.onnx.quantization.config.spec import CalibMethod, Int8Spec, QLayerConfig, QuantGranularity, UInt8Spec

    scheme, _, learned = method.partition(" ")
    algorithms = {"adaround": [AdaRoundConfig(learning_rate=0.1, num_iterations=1000)],
                  "adaquant": [AdaQuantConfig(learning_rate=0.00001, num_iterations=3000)], "": []}[learned]
    if scheme == "channels":
        layer = QLayerConfig(activation=UInt8Spec(calibration_method=CalibMethod.MinMax),
                             weight=Int8Spec(quant_granularity=QuantGranularity.Channel, calibration_method=CalibMethod.MinMax))
        return QConfig(global_config=layer, algo_config=algorithms)
    preset = getattr(custom_config, f"{scheme}_QCONFIG")
    return QConfig(global_config=preset.global_config, algo_config=algorithms, **preset.extra_options)


def main():
    given = worker.arguments(METHODS)
    worker.limit_onnxruntime(given.threads)
    import onnxruntime
    import torch
    from onnxruntime.quantization import CalibrationDataReader
    from quark.onnx import ModelQuantizer

    torch.set_num_threads(given.threads)
    name = onnxruntime.InferenceSession(given.model, onnxruntime.SessionOptions()).get_inputs()[0].name

    class Reader(CalibrationDataReader):
        def __init__(self):
            self.rewind()

        def rewind(self):
            self._samples = iter(worker.samples(given.samples))

        def get_next(self):
            sample = next(self._samples, None)
            return None if sample is None else {name: sample}

    ModelQuantizer(configuration(given.method)).quantize_model(given.model, given.output, Reader())


if __name__ == "__main__":
    main()
