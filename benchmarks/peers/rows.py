"""What is compared: for each width the methods of Nibble and of the peers that can do it. A new peer or method is a row here."""

PEERS = {  # name: (environment, program)
    "ONNX Runtime": ("onnxruntime", "with_onnxruntime.py"),
    "NNCF": ("nncf", "with_nncf.py"),
    "Quark": ("quark", "with_quark.py"),
    "AIMET": ("aimet", "with_aimet.py"),
}
WIDTHS = {"W8A8": (8, 8), "W4A8": (4, 8), "W3A8": (3, 8), "W4A4": (4, 4)}  # bits of weights and activations

# The first row of a width is the one that the others are compared with. Learned: by gradients, for minutes; others take seconds.
NIBBLE = {
    "W8A8": {"defaults": [], "no-pair-safe": ["--no-pair-safe"],  # the peers' files, too, count on CPUs with VNNI
             "min-max": ["--weight-observer", "min-max", "--activation-observer", "min-max"], "gptq": ["--rounding", "gptq"]},
    "W4A8": {"gptq": ["--rounding", "gptq"], "defaults": [], "brecq": ["--rounding", "brecq"]},
    "W3A8": {"gptq": ["--rounding", "gptq"], "defaults": [], "brecq": ["--rounding", "brecq"]},
    "W4A4": {"brecq": ["--rounding", "brecq"], "gptq": ["--rounding", "gptq"], "defaults": []},
}
ONNXRUNTIME = ["min-max", "percentile", "entropy"]
AIMET = ["min-max", "sqnr", "min-max, seq_mse", "sqnr, adaround 1000", "sqnr, adaround 15000"]
METHODS = {
    "W8A8": {"ONNX Runtime": ONNXRUNTIME, "NNCF": ["default", "mixed", "mixed, accurate bias"],
             "Quark": ["A8W8", "XINT8", "channels", "channels adaround", "channels adaquant"],
             "AIMET": AIMET},
    "W4A8": {"ONNX Runtime": ONNXRUNTIME, "AIMET": AIMET},
    "W3A8": {"AIMET": AIMET},
    "W4A4": {"ONNX Runtime": ONNXRUNTIME, "AIMET": AIMET},
}
LEARNED = ("brecq", "adaround", "adaquant")


def learned(method):
    return any(word in method for word in LEARNED)
