# %% [markdown]
# <a id="2"></a>
# # 2 Mapping reals to integers
#
# ## The idea
#
# Lay a ruler with evenly spaced marks over the real numbers and give each mark a whole number, its *code*. To quantize a
# number is to write down the code of the nearest mark. The ruler has two parameters: the distance of its marks, called the
# **scale** $s$, and the code of the real number 0, called the **zero point** $z$:
#
# $$ \text{real} = s \cdot (q - z) \qquad\qquad q = \mathrm{clamp}\big(\mathrm{round}(\text{real} / s) + z,\; q_{min},\; q_{max}\big) $$
#
# - **Rounding** makes an error of at most half a mark, $s/2$. Ties go to the even code, so that they do not all go up.
# - **Clipping**: what lies beyond the last mark gets the last code. That error has no bound.
# - **Zero is exact**: it has a code of its own. Networks are full of zeros (padding, ReLU), which must not become 0.003.
#
# ## A picture
#
# A ruler with 3 bits has 8 marks. Left: where each real number goes. Right: what it loses.

# %% tags=["hidden"]
figure, axes = new_picture(9.5, 3.6, columns=2)
scale, zero_point, low, high = 0.4, 2, 0, 7  # of the example: marks from -0.8 to 2.0
x = np.linspace(-1.7, 2.9, 2001)
marks = scale * (np.arange(8) - zero_point)
y = scale * (np.clip(np.round(x / scale) + zero_point, low, high) - zero_point)
for panel in axes:
    panel.axvspan(-1.7, marks[0] - scale / 2, color=ORANGE, alpha=0.13, lw=0)
    panel.axvspan(marks[-1] + scale / 2, 2.9, color=ORANGE, alpha=0.13, lw=0)
axes[0].plot(x, x, color=GREY, lw=1, ls="--", label="no loss")
axes[0].plot(x, y, color=BLUE, lw=2, label="quantized")
for code, mark in enumerate(marks):
    axes[0].annotate(str(code), (mark, mark), xytext=(0, 5), textcoords="offset points", color=BLUE, ha="center", fontsize=9)
axes[0].legend(loc="upper left")
axes[0].set(xlabel="real number", ylabel="after quantizing and back", title="Stairs: codes 0 to 7, zero point 2")
axes[1].plot(x, y - x, color=RED, lw=1.8)
for sign in (-1, 1):
    axes[1].axhline(sign * scale / 2, color=GREY, lw=1, ls=":")
axes[1].annotate("rounding: at most half a step", (0.6, scale / 2), xytext=(0, 6), textcoords="offset points", ha="center",
                 fontsize=9.5)
axes[1].annotate("clipping: no bound", (2.2, -0.72), ha="right", fontsize=9.5)
axes[1].set(xlabel="real number", ylabel="error", title="The error, with the clipped parts shaded", ylim=(-1, 1))
plt.show()

# %% [markdown]
# ## By hand
#
# Ten lines are the whole arithmetic. NumPy's `round` rounds ties to even already. Weights and activations get different
# rulers: an activation after ReLU is never negative, so its ruler is **asymmetric** and spends all codes on $[0, max]$;
# weights lie on both sides of zero, and with a **symmetric** ruler (zero point 0) the arithmetic becomes simpler
# (chapter 5 shows how much).

# %%
def quantize(real, scale, zero_point, low, high):
    """The codes of real numbers. All arguments may be arrays that broadcast."""
    steps = np.round(np.asarray(real, np.float32) / np.asarray(scale, np.float32))
    return np.clip(steps + zero_point, low, high).astype(np.int32)


def dequantize(codes, scale, zero_point=0):
    return np.asarray(scale, np.float32) * (codes - zero_point).astype(np.float32)


def asymmetric(low, high, bits):
    """Scale and zero point for reals from `low` to `high`, with the codes 0 to 2^bits - 1."""
    low, high = min(low, 0.0), max(high, 0.0)  # zero must be on the ruler
    scale = np.float32((float(high) - float(low)) / (2**bits - 1))
    return scale, int(np.round(-float(low) / float(scale)))


def symmetric_codes(bits):
    """The codes for weights: -127 to 127, but -8 to 7 where every code counts."""
    return (-(2 ** (bits - 1)) if bits <= 4 else 1 - 2 ** (bits - 1)), 2 ** (bits - 1) - 1


def symmetric(weights, bits, axis=None):
    """The smallest scale that clips no weight; one for all, or one for each slice along `axis`."""
    low, high = symmetric_codes(bits)
    needed = np.where(weights > 0, weights.astype(np.float64) / high, weights.astype(np.float64) / low)
    if axis is None:
        return np.float32(needed.max())
    others = tuple(a for a in range(weights.ndim) if a != axis)
    return needed.max(axis=others, keepdims=True).astype(np.float32)


# Try it on numbers between -1 and 2, with 8 bits.
scale, zero_point = asymmetric(-1.0, 2.0, 8)
numbers = np.array([-1.0, -0.004, 0.0, 0.5, 2.0, 3.0], np.float32)
codes = quantize(numbers, scale, zero_point, 0, 255)
back = dequantize(codes, scale, zero_point)
table([{"real": f"{r:g}", "code": int(c), "back": f"{b:.5f}", "error": f"{b - r:+.5f}"} for r, c, b in zip(numbers, codes, back)],
      f"scale {scale:.7f}, zero point {zero_point}")
assert back[2] == 0  # zero is exact
assert np.all(np.abs(back - numbers)[:5] <= scale / 2 * (1 + 1e-6))  # rounding; 3.0 is clipped

# %% [markdown]
# ### What a bit is worth
#
# How good is a ruler? The usual measure is the **signal to quantization noise ratio**, SQNR: the energy of the numbers
# over the energy of their errors, in decibels. Adding a bit halves the step, so it halves the error and quarters its
# energy: $10 \log_{10} 4 \approx 6$ dB *a bit*. Remember that number; it is the currency of the rest of this lecture.

# %%
def sqnr(real, approximation):
    """Signal to quantization noise ratio in dB."""
    real, approximation = np.asarray(real, np.float64), np.asarray(approximation, np.float64)
    return 10 * np.log10(np.sum(real**2) / np.sum((real - approximation) ** 2))


random = np.random.default_rng(2)
shapes = {"uniform": random.uniform(-1, 1, 100_000), "normal (bell-shaped)": random.normal(0, 1, 100_000),
          "normal, one outlier of 30": np.append(random.normal(0, 1, 100_000), 30.0)}
curves = {}
for name, values in shapes.items():
    curves[name] = []
    for bits in range(2, 11):
        scale = symmetric(values, bits)
        curves[name].append(sqnr(values, dequantize(quantize(values, scale, 0, *symmetric_codes(bits)), scale)))

# %% tags=["hidden"]
figure, axes = new_picture(9, 3.6)
for (name, curve), colour, marker in zip(curves.items(), (GREEN, BLUE, RED), "osD"):
    axes.plot(range(2, 11), curve, color=colour, marker=marker, lw=2, ms=5)
    axes.annotate(name, (10, curve[-1]), xytext=(8, 0), textcoords="offset points", color=colour, va="center")
axes.set(xlabel="bits", ylabel="SQNR in dB", title="Every bit buys 6 dB; one outlier costs several bits", xlim=(1.8, 12.6),
         xticks=range(2, 11))
plt.show()
slope = np.polyfit(range(4, 11), curves["uniform"][2:], 1)[0]
cost = (curves["normal (bell-shaped)"][6] - curves["normal, one outlier of 30"][6]) / slope
say(f"Slope for uniform numbers: **{slope:.2f} dB per bit**. A single outlier among 100,000 numbers stretches the ruler and "
    f"takes {curves['normal (bell-shaped)'][6] - curves['normal, one outlier of 30'][6]:.1f} dB from all the others at "
    f"8 bits: as much as {cost:.1f} bits.")

# %% [markdown]
# ### Clipping on purpose
#
# The outlier shows a bargain. If we cut it off, *it* gets a large error, but all other numbers get a finer ruler. Between
# the two there is a best place to clip. Here is the search for it, with 4 bits on bell-shaped numbers, splitting the error
# into its two parts.

# %%
values = shapes["normal (bell-shaped)"]
low, high = symmetric_codes(4)
reaches = np.linspace(0.8, 5.0, 85)
rounding, clipping = [], []
for reach in reaches:
    scale = reach / high
    error = (dequantize(quantize(values, scale, 0, low, high), scale) - values) ** 2
    inside = (values / scale >= low - 0.5) & (values / scale <= high + 0.5)
    rounding.append(error[inside].sum() / len(values))
    clipping.append(error[~inside].sum() / len(values))
total = np.add(rounding, clipping)
best = reaches[np.argmin(total)]

# %% tags=["hidden"]
figure, axes = new_picture(9, 3.6, columns=2, gridspec_kw={"width_ratios": [1.25, 1]})
axes[0].plot(reaches, total, color=INK, lw=2.2)
axes[0].plot(reaches, rounding, color=BLUE, lw=1.6)
axes[0].plot(reaches, clipping, color=ORANGE, lw=1.6)
axes[0].axvline(best, color=GREEN, lw=1.4, ls="--")
axes[0].text(4.15, np.interp(4.15, reaches, total) + 0.004, "sum", ha="right")
axes[0].text(4.6, np.interp(4.6, reaches, rounding) - 0.0095, "rounding", color=BLUE, ha="center")
axes[0].text(1.52, np.interp(1.45, reaches, clipping) + 0.012, "clipping", color="#a56f00")
axes[0].set(xlabel="clip at ±(standard deviations)", ylabel="mean squared error", ylim=(0, 0.09),
            title="Two errors, and the best of both")
axes[1].hist(values, 120, color=SKY, range=(-5, 5))
for sign in (-1, 1):
    axes[1].axvline(sign * best, color=GREEN, lw=1.6, ls="--")
    axes[1].axvline(sign * np.abs(values).max(), color=RED, lw=1.6, ls=":")
axes[1].set(xlabel="value", yticks=[], xlim=(-5.4, 5.4), title="Green: best clipping, red: extremes")
axes[1].grid(visible=False)
plt.show()
widest = np.interp(np.abs(values).max(), reaches, total)
say(f"Best: clip at {best:.2f} standard deviations. The mean squared error is then {total.min():.4f}, {widest / total.min():.1f} "
    f"times less than without clipping: {10 * np.log10(widest / total.min()):.1f} dB for nothing.")

# %% [markdown]
# ### One ruler for all, for each channel, or for each block
#
# Rulers are cheap: a scale is one number. A weight matrix may have one scale for the whole tensor, one per output channel
# (a row), or one per block of, say, 32 weights in a row. More rulers mean that a loud channel does not spoil a quiet one.

# %%
rows, columns, block = 24, 96, 32
loudness = np.exp(random.normal(0, 1, (rows, 1)))  # channels of a real network differ like this
matrix = (random.normal(0, 1, (rows, columns)) * loudness).astype(np.float32)
matrix[5, 40] = 4 * np.abs(matrix[5]).max()  # and now and then there is an outlier


def three_ways(matrix, bits):
    """The matrix after 4 bits and back: with one scale, with one per row, with one per block of a row."""
    low, high = symmetric_codes(bits)
    blocks = matrix.reshape(-1, block)
    result = {}
    for name, view, axis in (("per tensor", matrix, None), ("per channel", matrix, 0), ("per block of 32", blocks, 0)):
        scale = symmetric(view, bits, axis)
        result[name] = dequantize(quantize(view, scale, 0, low, high), scale).reshape(matrix.shape)
        result[name + " scales"] = np.size(scale)
    return result


ways = three_ways(matrix, 4)
rows_of_table = []
for name in ("per tensor", "per channel", "per block of 32"):
    scales = ways[name + " scales"]
    rows_of_table.append({"rulers": name, "scales": scales, "bits per weight": f"{4 + 32 * scales / matrix.size:.2f}",
                          "SQNR of the matrix": f"{sqnr(matrix, ways[name]):.1f} dB",
                          "SQNR of the worst channel": f"{min(sqnr(a, b) for a, b in zip(matrix, ways[name])):.1f} dB"})
table(rows_of_table, "4 bits, scales counted in")

# %% tags=["hidden"]
figure, axes = new_picture(9.5, 3.5, columns=3, sharey=True)
for panel, name in zip(axes, ("per tensor", "per channel", "per block of 32")):
    relative = np.abs(ways[name] - matrix) / np.sqrt(np.mean(matrix**2, axis=1, keepdims=True))
    image = panel.imshow(relative, cmap="cividis", vmin=0, vmax=1, aspect="auto", interpolation="nearest")
    panel.set(title=name, xlabel="input")
    panel.grid(visible=False)
    for edge in (32, 64) if "block" in name else ():
        panel.axvline(edge - 0.5, color="white", lw=0.6)
axes[0].set_ylabel("output channel")
bar = figure.colorbar(image, ax=axes, label="error / size of the channel", pad=0.01)
plt.show()
say("Dark is good. With one ruler, quiet channels lose everything (yellow rows: all their weights became zero). With one per "
    "channel only the row with the outlier suffers; with one per block only the outlier's block does.")

# %% [markdown]
# ## With Nibble
#
# Nibble follows the same rules, which [docs/numeric-contract.md](../docs/numeric-contract.md) writes down. So our ten lines
# must give the same integers. We take a network of one layer, quantize it with Nibble, and compare codes and scales bit for
# bit, at 8 and at 4 bits, per channel and per block.

# %%
def one_layer(weights):
    """y = x W^T as an ONNX model; W has a row per output channel."""
    node = helper.make_node("Gemm", ["x", "W"], ["y"], "layer", transB=1)
    info = [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", weights.shape[1]]),
            helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", weights.shape[0]])]
    graph = helper.make_graph([node], "one", info[:1], info[1:], [numpy_helper.from_array(weights, "W")])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)


for bits in (8, 4):
    for size in (0, block):
        small = nibble.quantize(one_layer(matrix), weights=bits, activations=None, block_size=size,
                                weight_observer="min-max", first_and_last_8bit=False, progress=False)
        view = matrix.reshape(-1, size or columns)
        scale = symmetric(view, bits, axis=0)
        codes = quantize(view, scale, 0, *symmetric_codes(bits)).reshape(matrix.shape)
        theirs = small.constant("W")
        assert np.array_equal(codes, theirs.data.astype(np.int32)), "codes differ"
        assert np.array_equal(scale.ravel(), theirs.scale), "scales differ"
        print(f"{bits} bits, {'blocks of ' + str(size) if size else 'per channel':12}: {codes.size} codes and {scale.size} "
              "scales, equal to the last bit")

# %% [markdown]
# Nibble does more than that by default: it clips where the squared error is least (`weight_observer="mse"`), which is the
# search of the green line above, done for each channel.

# %%
for bits in (8, 4, 3):
    row = []
    for observer in ("min-max", "mse"):
        small = nibble.quantize(one_layer(matrix), weights=bits, activations=None, weight_observer=observer,
                                first_and_last_8bit=False, progress=False)
        row.append(sqnr(matrix, small.constant("W").values))  # .values: the reals that the codes stand for
    print(f"{bits} bits per channel: min-max {row[0]:5.1f} dB, mse {row[1]:5.1f} dB")

# %% [markdown]
# ## Exercise
#
# Some chips can multiply by powers of two only, because that is a shift. Restrict `symmetric` to scales $2^k$ (never smaller
# than needed, so that nothing is clipped). How many dB does that cost on `matrix` at 8 bits per channel? How many could it
# cost at most, and why?

# %%
# Your turn.

# %% tags=["solution"]
scale = symmetric(matrix, 8, axis=0)
shift = np.exp2(np.ceil(np.log2(scale))).astype(np.float32)
with_any = sqnr(matrix, dequantize(quantize(matrix, scale, 0, -127, 127), scale))
with_shift = sqnr(matrix, dequantize(quantize(matrix, shift, 0, -127, 127), shift))
print(f"any scale {with_any:.1f} dB, powers of two {with_shift:.1f} dB: {with_any - with_shift:.1f} dB less")
# The next power of two is less than twice as large; twice the step is one bit, about 6 dB.
assert np.all(shift < 2 * scale) and 0 <= with_any - with_shift < 7
