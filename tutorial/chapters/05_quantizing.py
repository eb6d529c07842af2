# %% [markdown]
# <a id="5"></a>
# # 5 Quantizing, and the integers inside
#
# ## The idea
#
# We have rulers for the weights and rulers for the activations. **Post-training quantization** (PTQ) puts them together:
# replace the weights by codes, note scale and zero point of every activation, and compute with integers from there on.
#
# The file that results is an ordinary ONNX file. It *describes* the quantized network in reals: `QuantizeLinear` turns reals
# into codes, `DequantizeLinear` turns codes back into reals, and between them stands the layer as it always was. A runtime
# that knows the pattern fuses it, and computes with integers what the file says in reals. That form is called **QDQ**.
#
# ## With Nibble
#
# Two calls. The data are for calibration only: labels are not looked at.

# %%
small8 = nibble.quantize(model, "digits", progress=False)
small4 = nibble.quantize(model, "digits", weights=4, activations=4, progress=False)
small8.save(FILES / "w8a8.onnx")
small4.save(FILES / "w4a4.onnx")
score_table({"float": model, "8 bits": small8, "4 bits": small4})

# %% [markdown]
# ## The picture
#
# One layer in the file, and the same layer as it runs. Blue is real, green is integer.

# %% tags=["hidden"]
def boxes(panel, items, arrows):
    """Draws labelled boxes, {name: (x, y, text, colour)}, and arrows between them."""
    for x, y, text, colour in items.values():
        panel.text(x, y, text, ha="center", va="center", fontsize=9.5, color="white" if colour != "#fcfcfa" else INK,
                   bbox={"boxstyle": "round,pad=0.42", "facecolor": colour, "edgecolor": "none"})
    for start, end in arrows:
        (x0, y0, *_), (x1, y1, *_) = items[start], items[end]
        panel.annotate("", (x1, y1), (x0, y0), zorder=0,
                       arrowprops={"arrowstyle": "-|>", "color": GREY, "shrinkA": 19, "shrinkB": 19, "lw": 1.4})
    panel.axis("off")


figure, axes = new_picture(9.5, 4.3, columns=2)
boxes(axes[0], {
    "in": (1, 5, "input codes\nuint8", GREEN), "dq": (1, 4, "DequantizeLinear", BLUE),
    "w": (2.6, 5, "weight codes\nint8", GREEN), "dw": (2.6, 4, "DequantizeLinear", BLUE),
    "b": (4.1, 5, "bias\nint32", GREEN), "db": (4.1, 4, "DequantizeLinear", BLUE),
    "layer": (2.6, 3, "Gemm or Conv, in reals", BLUE), "relu": (2.6, 2, "Relu", BLUE), "q": (2.6, 1, "QuantizeLinear", BLUE),
    "out": (2.6, 0, "output codes, uint8", GREEN)},
    [("in", "dq"), ("w", "dw"), ("b", "db"), ("dq", "layer"), ("dw", "layer"), ("db", "layer"), ("layer", "relu"), ("relu", "q"),
     ("q", "out")])
axes[0].set(xlim=(0.1, 5), ylim=(-0.4, 5.5), title="What the file says")
boxes(axes[1], {
    "in": (1, 5, "input codes\nuint8", GREEN), "w": (2.7, 5, "weight codes\nint8", GREEN),
    "b": (4.2, 5, "bias\nint32", GREEN), "sum": (2.6, 3.4, "sum of products, exact in int32", GREEN),
    "m": (2.6, 2.2, "times one multiplier per channel, round", GREEN), "c": (2.6, 1.1, "add zero point, clamp (that is the Relu)", GREEN),
    "out": (2.6, 0, "output codes, uint8", GREEN)},
    [("in", "sum"), ("w", "sum"), ("b", "sum"), ("sum", "m"), ("m", "c"), ("c", "out")])
axes[1].set(xlim=(0.1, 5), ylim=(-0.4, 5.5), title="What runs")
plt.show()

# %% [markdown]
# Now look into the file with the `onnx` package: the nodes around the layer `fc1`, and where the bytes are.

# %%
inside = small4.to_onnx()
for node in inside.graph.node:
    if "fc1" in node.name or "fc1" in " ".join(node.input):
        print(f"{node.op_type:17} ({', '.join(node.input)}) -> {', '.join(node.output)}")


def bytes_by_kind(network):
    kinds = {"weights": 0, "biases, batch norms": 0, "scales and zero points": 0}
    for tensor in network.to_onnx().graph.initializer:
        single = tensor.name.endswith(("_scale", "_zero_point", "_min", "_max"))
        kind = "scales and zero points" if single else "weights" if "weight" in tensor.name else "biases, batch norms"
        kinds[kind] += len(tensor.raw_data)
    return kinds | {"names and structure": network.size - sum(kinds.values())}


parts = {name: bytes_by_kind(network) for name, network in (("float", model), ("8 bits", small8), ("4 bits", small4))}

# %% tags=["hidden"]
figure, axes = new_picture(9, 2.5)
left = np.zeros(3)
for kind, colour in zip(parts["float"], (BLUE, ORANGE, PINK, GREY)):
    widths = np.array([parts[name][kind] for name in parts]) / 1e3
    axes.barh(list(parts), widths, left=left, color=colour, height=0.6, label=kind)
    left += widths
for row, width in enumerate(left):
    axes.text(width, row, f"  {width:.1f} kB", va="center")
axes.invert_yaxis()
axes.grid(axis="y", visible=False)
axes.set(xlabel="kB", xlim=(0, left.max() * 1.1), title="Where the bytes of the file are")
axes.legend(loc="lower right", fontsize=9.5)
plt.show()
share = parts["4 bits"]["names and structure"] / small4.size
say(f"The weights shrink as promised, from {parts['float']['weights']:,} to {parts['8 bits']['weights']:,} and "
    f"{parts['4 bits']['weights']:,} bytes (first and last layer keep 8 bits). In a network as tiny as this, names and structure "
    f"are {100 * share:.0f} % of the 4-bit file; in one of ten million weights you would not see them.")

# %% [markdown]
# ## By hand
#
# ### Two codes in a byte
#
# There is no 4-bit type in C or NumPy. ONNX packs two codes into a byte, the first in the low half. A code of -8 to 7 is
# stored in two's complement: subtract 16 from what is above 7.

# %%
packed = next(t for t in inside.graph.initializer if t.name == "block2.conv.weight_quantized")
raw = np.frombuffer(packed.raw_data, np.uint8)
halves = np.stack([raw & 15, raw >> 4], axis=1).ravel().astype(np.int32)  # low half first
codes = np.where(halves > 7, halves - 16, halves).reshape(packed.dims)
assert np.array_equal(codes, small4.constant("block2.conv.weight").data.astype(np.int32))
print(f"the bytes {raw[:4].tolist()} hold the codes {codes.ravel()[:8].tolist()}; {len(raw):,} bytes for {codes.size:,} weights")

# %% [markdown]
# ### One layer, in integers
#
# Put the rulers of input, weights and output into $y = \mathrm{Relu}(\sum x w + b)$. With $x = s_x (q_x - z_x)$, $w = s_w q_w$
# and $b = s_x s_w q_b$:
#
# $$ y = s_x s_w \Big( \underbrace{\sum (q_x - z_x)\, q_w + q_b}_{\text{an integer}} \Big), \qquad
#    q_y = \mathrm{clamp}\Big(\mathrm{round}\Big(\frac{s_x s_w}{s_y} \cdot \text{integer}\Big) + z_y\Big) $$
#
# The sum is *exact*: integers do not round. Only one number per channel, the **multiplier** $s_x s_w / s_y$, is real. Now you
# see why the weights have zero point 0 (no term with $z_w$), why the bias is stored in steps of $s_x s_w$ (so that it is added
# before the multiplication, for free), and why the ReLU costs nothing (codes are clamped from below at $z_y$ anyway).

# %%
def parameters(network):
    """All constants of the file, by their names in the file: codes as int32, scales as float32."""
    arrays = {tensor.name: numpy_helper.to_array(tensor) for tensor in network.to_onnx().graph.initializer}
    return {name: array.astype(np.float32 if array.dtype == np.float32 else np.int32) for name, array in arrays.items()}


def per_channel(values, dense):
    return values if dense else values[:, None, None]


def integer_sum(P, codes, name, source):
    """The exact sum of the layer `name`, whose input's parameters are called `source`."""
    dense = name.startswith("fc")
    weight, bias = P[f"{name}.weight_quantized"], P[f"{name}.bias_quantized" if dense else f"{name}_bias_quantized"]
    x = codes - P[f"{source}_zero_point"]
    total = x @ weight.T if dense else conv3x3(x, weight)
    # Can the sum overflow 32 bits? Not with these weights: this is the largest it can ever be.
    largest = np.abs(bias) + 255 * np.abs(weight).reshape(len(weight), -1).sum(axis=1)
    assert largest.max() < 2**31
    return total + per_channel(bias, dense)


def multiplier(P, name, source, target):
    """One per channel: computed in double precision, rounded to float once."""
    s_x, s_w, s_y = (P[key].astype(np.float64) for key in (f"{source}_scale", f"{name}.weight_scale", f"{target}_scale"))
    return (s_x * s_w / s_y).astype(np.float32)


def highest_code(P, name):
    """255, unless the file clips the real numbers earlier: codes of 4 bits end at 15."""
    if f"{name}_max" not in P:
        return 255
    return int(np.round(P[f"{name}_max"] / P[f"{name}_scale"])) + int(P[f"{name}_zero_point"])


def requantize(P, total, factor, target):
    """Sums become codes of `target`; the lower end of the clamp is the Relu."""
    zero_point = int(P[f"{target}_zero_point"])
    steps = np.round(total.astype(np.float32) * per_channel(factor, total.ndim == 2))
    return np.clip(steps + zero_point, zero_point, highest_code(P, target)).astype(np.int32)


P = parameters(small8)
factor = multiplier(P, "fc1", "flatten", "fc1.relu")
print("The first multipliers of fc1:", factor[:4])

# %% [markdown]
# ### The whole network, in integers
#
# Max pooling moves codes and needs no arithmetic: the larger code is the larger number. The last layer gives reals.

# %%
def run_in_integers(P, x, factor_of=multiplier):
    """The scores, and the codes of every activation on the way."""
    seen = {"input": quantize(x, P["input_scale"], P["input_zero_point"], 0, highest_code(P, "input"))}

    def layer(name, source, target):
        seen[target] = requantize(P, integer_sum(P, seen[source], name, source), factor_of(P, name, source, target), target)

    layer("block1.conv", "input", "block1.relu")
    layer("block2.conv", "block1.relu", "block2.relu")
    seen["pool2"] = max_pool(seen["block2.relu"])
    layer("block3.conv", "pool2", "block3.relu")
    seen["pool3"] = max_pool(seen["block3.relu"])
    seen["flatten"] = seen["pool3"].reshape(len(x), -1)
    layer("fc1", "flatten", "fc1.relu")
    total = integer_sum(P, seen["fc1.relu"], "fc2", "fc1.relu")
    return total.astype(np.float32) * (P["fc1.relu_scale"] * P["fc2.weight_scale"]), seen


for name, network in (("8 bits", small8), ("4 bits", small4)):
    by_hand, _ = run_in_integers(parameters(network), X_test)
    by_nibble = nibble.Session(network).run(None, {"input": X_test})[0]
    assert by_hand.dtype == by_nibble.dtype == np.float32 and np.array_equal(by_hand, by_nibble)
    print(f"{name}: {by_hand.size:,} scores of {len(X_test)} test samples, by hand and by Nibble: equal to the last bit")

# %% [markdown]
# These few functions *are* the network; Nibble's kernels for AVX2 and AVX-512 do the same, only much faster. The project tests
# each of them against plain loops like ours, because exact integer sums leave no excuse for another result.
#
# ### The same file in ONNX Runtime
#
# We cut one layer out of the file, from the codes of its input to the codes of its output, and let ONNX Runtime run it with
# all its optimizations, which replace the pattern by one integer operator. Do we get *its* codes?

# %%
import onnxruntime


def cut_out(network, source, target):
    """The part of the network between two QuantizeLinear: codes in, codes out."""
    whole = network.to_onnx()
    needed, nodes = {f"{target}_quantized"}, []
    for node in reversed(whole.graph.node):
        if set(node.output) & needed and node.output[0] != f"{source}_quantized":
            nodes.insert(0, node)
            needed |= set(node.input)
    ends = [helper.make_tensor_value_info(f"{name}_quantized", TensorProto.UINT8, None) for name in (source, target)]
    graph = helper.make_graph(nodes, "cut", ends[:1], ends[1:], [t for t in whole.graph.initializer if t.name in needed])
    return helper.make_model(graph, opset_imports=whole.opset_import, ir_version=10)


def onnx_runtime(network, feed, save_as=None):
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.add_session_config_entry("session.x64quantprecision", "1")  # no saturating instructions on old CPUs
    if save_as:
        options.optimized_model_filepath = str(save_as)
    return onnxruntime.InferenceSession(network.SerializeToString(), options).run(None, feed)[0]


def rounded_twice(P, name, source, target):
    """ONNX Runtime's multiplier: in float, so that the product is rounded, and the quotient again."""
    return P[f"{source}_scale"] * P[f"{name}.weight_scale"] / P[f"{target}_scale"]


_, seen = run_in_integers(P, X_test)
rows = []
for name, source, target in (("block1.conv", "input", "block1.relu"), ("block2.conv", "block1.relu", "block2.relu"),
                             ("block3.conv", "pool2", "block3.relu"), ("fc1", "flatten", "fc1.relu")):
    feed = {f"{source}_quantized": seen[source].astype(np.uint8)}
    theirs = onnx_runtime(cut_out(small8, source, target), feed, FILES / "optimized.onnx").astype(np.int32)
    total = integer_sum(P, seen[source], name, source)
    as_nibble = requantize(P, total, multiplier(P, name, source, target), target)
    as_theirs = requantize(P, total, rounded_twice(P, name, source, target), target)
    operators = {node.op_type for node in onnx.load(FILES / "optimized.onnx").graph.node} - {"Transpose"}
    rows.append({"layer": name, "runs as": ", ".join(sorted(operators)), "codes": f"{theirs.size:,}",
                 "differ, multiplier rounded once": int(np.sum(as_nibble != theirs)),
                 "differ, rounded twice": int(np.sum(as_theirs != theirs))})
    if operators & {"QLinearConv", "QGemm"}:  # on a CPU where ONNX Runtime has the integer operator
        assert np.array_equal(as_theirs, theirs), name
    assert np.abs(as_nibble - theirs).max() <= 1  # where they differ at all, it is by one step
table(rows, "Codes by hand against codes of ONNX Runtime, 8 bits")

# %% [markdown]
# The sums are the same integers everywhere. The multiplier is not: Nibble computes $s_x s_w / s_y$ in double precision and
# rounds once, ONNX Runtime rounds the product to a float and then the quotient. The last bit of the multiplier differs for some
# channels, and a sum that falls on the border between two codes then goes to the neighbour. With *its* rule our codes are those
# of ONNX Runtime to the last bit; with Nibble's rule they are Nibble's. This is all the difference there is between two correct
# implementations of a quantized layer, and now you know exactly where it comes from.
#
# ## Exercise
#
# Suppose the weights had a zero point as well: $w = s_w (q_w - z_w)$. Multiply $\sum (q_x - z_x)(q_w - z_w)$ out into four
# sums. Which of them can be computed when the model is loaded, and which must be computed for every input? Check your answer
# with random codes.

# %%
# Your turn.

# %% tags=["solution"]
random = np.random.default_rng(5)
q_x, q_w, z_x, z_w = random.integers(0, 256, 100), random.integers(0, 256, 100), 7, 131
products = np.sum(q_x * q_w)     # for every input: the work itself
weights = z_x * np.sum(q_w)      # when the model is loaded
inputs = z_w * np.sum(q_x)       # for every input, an extra sum: the price of a zero point of the weights
constant = len(q_x) * z_x * z_w  # when the model is loaded
assert products - weights - inputs + constant == np.sum((q_x - z_x) * (q_w - z_w))
print("With z_w = 0 two terms are left, and one of them is known in advance.")
