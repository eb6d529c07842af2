"""AIMET's QuantizationSimModel for ONNX, exported by its own to_onnx_qdq(). METHOD is how ranges are found, and what AIMET does beyond.

Weights per output channel, symmetric; activations unsigned, with a zero point: AIMET's own default_config_per_channel.json. The exporter
knows no 3 bits: such weights are written as floats that lie on their 3-bit grid (AIMET's fold_param_quantizers()).
"""
import worker

METHODS = ("min-max", "sqnr", "min-max, seq_mse", "sqnr, adaround 1000", "sqnr, adaround 15000")  # seq_mse takes min-max alone


def main():
    given = worker.arguments(METHODS)
    worker.limit_onnxruntime(given.threads)
    import aimet_onnx
    import onnx
    import torch
    from aimet_onnx.common.defs import QuantScheme, qtype
    from aimet_onnx.common.quantsim_config.utils import get_path_for_per_channel_config

    torch.set_num_threads(given.threads)
    torch.manual_seed(0)
    model = onnx.load(given.model)
    name = model.graph.input[0].name
    first, *inner, last = worker.layers(model)
    inputs = [{name: sample} for sample in worker.samples(given.samples, batch_of(model))]
    scheme = QuantScheme.min_max if given.method.startswith("min-max") else QuantScheme.post_training_tf_enhanced
    sim = aimet_onnx.QuantizationSimModel(model, param_type=qtype.int(8), activation_type=qtype.int(given.activations),
                                          quant_scheme=scheme, config_file=get_path_for_per_channel_config())
    if given.weights < 8:
        sim.set_tensor_precision([node.input[1] for node in inner], qtype.int(given.weights))
    if given.activations < 8:
        sim.set_tensor_precision([first.input[0], last.input[0], last.output[0]], qtype.int(8))
    if "seq_mse" in given.method:
        aimet_onnx.apply_seq_mse(sim, inputs)
    elif "adaround" in given.method:  # 10,000 steps a layer are what AIMET recommends at 8 bits, 15,000 under them
        aimet_onnx.apply_adaround(sim, inputs, num_iterations=int(given.method.split()[-1]))
    sim.compute_encodings(inputs)
    if given.weights == 3:
        sim.fold_param_quantizers()
        for folded in sim._folded_param_quantizers:  # the exporter would refuse their 3 bits; they are in the weights now
            sim.qc_quantize_op_dict.pop(folded)
            sim.param_names.remove(folded)
    onnx.save(sim.to_onnx_qdq(prequantize_constants=given.weights != 3), given.output)


def batch_of(model):
    """Samples for a run: one where the model's batch is fixed, as it is in some old files; else 32."""
    extent = model.graph.input[0].type.tensor_type.shape.dim[0]
    return 32 if extent.dim_param or extent.dim_value == 0 else extent.dim_value


if __name__ == "__main__":
    main()
