# %% [markdown]
# <a id="3"></a>
# # 3 What flows through a network: dynamic range analysis
#
# ## The idea
#
# To place a ruler we must know what it has to measure. For **weights** that is easy: they lie in the file. **Activations**,
# the numbers between the layers, depend on the input, so we watch: we run some hundred samples of the *training* data
# through the network (this is called **calibration**) and note for each tensor the extremes and a histogram. An
# **observer** then decides where to put the ends of the ruler: at the extremes (`min-max`), where a tiny share of the
# values is cut off (`percentile`), or where the squared error is least (`mse`).
#
# Our network from here on reads handwritten digits of 8 x 8 pixels: three convolutions and two dense layers. The data are part
# of Nibble (from the UCI repository, CC BY 4.0), and training takes seconds.

# %%
train, test = nibble.dataset("digits", split="train").arrays(), nibble.dataset("digits", split="test").arrays()
X_train, y_train = train["input"], train["label"]
X_test, y_test = test["input"], test["label"]
started = time.perf_counter()
training = nibble.train("digits-cnn", "digits", seed=0, progress=False)
model = training.model
model.save(FILES / "float.onnx")
say(f"{len(X_train):,} training samples and {len(X_test)} test samples of shape {X_test.shape[1:]}, between {X_train.min():g} "
    f"and {X_train.max():g}; trained {len(training.history)} epochs in {time.perf_counter() - started:.1f} s; "
    f"{sum(layer.parameters for layer in model.layers):,} weights, and a file of {model.size:,} bytes.")


def score_table(models, data="digits", caption=""):
    """Accuracies with 95 % intervals, and differences to the first model on the same samples."""
    rows = []
    for row in nibble.evaluate(models, data, progress=False):
        d = row.difference  # None for the first
        rows.append({"network": row.model, "file": f"{models[row.model].size / 1e3:.1f} kB",
                     "accuracy [95 %]": f"{100 * row.value:.1f} % [{100 * row.low:.1f}, {100 * row.high:.1f}]",
                     "difference to the first": "" if d is None else
                     f"{100 * d.value:+.1f} [{100 * d.low:+.1f}, {100 * d.high:+.1f}] points, p = {d.p_value:.2g}"})
    table(rows, caption or f"{row.n} test samples")


score_table({"float": model})

# %% tags=["hidden"]
figure, axes = new_picture(9, 1.7, rows=2, columns=12)
for panel, image, label in zip(axes.flat, X_test, y_test):
    panel.imshow(image[0], cmap="gray_r", vmin=0, vmax=1)
    panel.set(xticks=[], yticks=[])
    panel.grid(visible=False)
    panel.set_title(str(label), fontsize=9, pad=2, fontweight="normal", loc="center")
plt.show()

# %% [markdown]
# ## By hand
#
# ### The network in NumPy
#
# To watch a network from inside we compute it ourselves. A convolution is a dot product of the weights with each 3 x 3
# window. **Batch normalization** is, after training, a multiplication and an addition per channel, and these can be
# *folded* into the convolution before it: one layer less to quantize.

# %%
def fold(constants, name, epsilon=1e-5):
    """Weight and bias of a convolution with the batch normalization behind it folded in."""
    norm = {k: constants[f"{name}.bn.{k}"] for k in ("gamma", "beta", "mean", "var")}
    factor = norm["gamma"] / np.sqrt(norm["var"] + epsilon)
    return constants[f"{name}.conv.weight"] * factor[:, None, None, None], norm["beta"] - norm["mean"] * factor


def conv3x3(x, weight):
    """[N,C,H,W] and [O,C,3,3] give [N,O,H,W]; the border is padded with zeros."""
    padded = np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), axis=(2, 3))  # [N,C,H,W,3,3]
    return np.tensordot(windows, weight, axes=([1, 4, 5], [1, 2, 3])).transpose(0, 3, 1, 2)


def max_pool(x):
    n, c, h, w = x.shape
    return x.reshape(n, c, h // 2, 2, w // 2, 2).max(axis=(3, 5))


def relu(x):
    return np.maximum(x, 0)


constants = {name: constant.data for name, constant in model.constants().items()}
layers = {f"block{i}.conv": fold(constants, f"block{i}") for i in (1, 2, 3)}
layers |= {name: (constants[f"{name}.weight"], constants[f"{name}.bias"]) for name in ("fc1", "fc2")}


def run_by_hand(x, layers, watch=lambda name, value: value):
    """The scores for a batch of digits. `watch` is called with every activation and returns what goes on."""
    def conv(name, x):
        weight, bias = layers[name]
        return conv3x3(x, weight) + bias[:, None, None]

    def dense(name, x):
        weight, bias = layers[name]
        return x @ weight.T + bias

    x = watch("input", x)
    x = watch("block1.relu", relu(conv("block1.conv", x)))
    x = watch("block2.relu", relu(conv("block2.conv", x)))
    x = watch("pool2", max_pool(x))
    x = watch("block3.relu", relu(conv("block3.conv", x)))
    x = watch("pool3", max_pool(x))
    x = watch("flatten", x.reshape(len(x), -1))
    x = watch("fc1.relu", relu(dense("fc1", x)))
    return watch("logits", dense("fc2", x))


ours = run_by_hand(X_test, layers)
theirs = nibble.Session(model).run(None, {"input": X_test})[0]
assert np.allclose(ours, theirs, atol=1e-3) and np.array_equal(ours.argmax(1), theirs.argmax(1))
say(f"Largest difference to Nibble over {ours.size:,} scores: {np.abs(ours - theirs).max():.1e}, for scores up to "
    f"{np.abs(theirs).max():.0f}: the two round in a different order.")

# %% [markdown]
# ### Watching, in constant memory
#
# A data set may be larger than memory, so a range is gathered batch by batch. Extremes and moments of two parts can be
# merged into those of the whole (Welford; Chan, Golub and LeVeque):

# %%
class Range:
    """Count, extremes, mean and variance of a stream of numbers."""

    def __init__(self):
        self.count, self.low, self.high, self.mean, self.squares = 0, np.inf, -np.inf, 0.0, 0.0

    def add(self, values):
        values = values.astype(np.float64).ravel()
        n, delta = len(values), values.mean() - self.mean
        self.squares += values.var() * n + delta**2 * self.count * n / (self.count + n)
        self.mean += delta * n / (self.count + n)
        self.count += n
        self.low, self.high = min(self.low, values.min()), max(self.high, values.max())

    @property
    def std(self):
        return math.sqrt(self.squares / self.count)


ranges, recorded = {}, {}


def record(name, value):
    ranges.setdefault(name, Range()).add(value)
    recorded.setdefault(name, []).append(value)  # for the pictures; a real observer keeps a histogram
    return value


for start in range(0, len(X_train), 50):
    run_by_hand(X_train[start : start + 50], layers, record)
recorded = {name: np.concatenate(parts) for name, parts in recorded.items()}
for name, values in recorded.items():
    assert ranges[name].low == values.min() and ranges[name].high == values.max()
    assert np.isclose(ranges[name].std, values.std(dtype=np.float64))

calibration = X_train[:500]  # enough for what follows, as you will see
recorded = {name: values[: len(calibration)] for name, values in recorded.items()}

# %% [markdown]
# ## The picture
#
# What flows through the network. Each row is one tensor; height is the logarithm of how often a value occurs, because the
# rare values at the right are just what matters.

# %% tags=["hidden"]
def ridge(panel, values, row, colour, reach=None):
    counts, edges = np.histogram(values, 90)
    height = np.log10(1 + counts) / np.log10(1 + counts.max()) * 0.78
    panel.stairs(row + height, edges, baseline=row, fill=True, color=colour, alpha=0.85)
    panel.plot([values.min(), values.max()], [row, row], color=INK, lw=0.8)


figure, axes = new_picture(9.5, 4.6, columns=2, gridspec_kw={"width_ratios": [1.35, 1]})
names = [name for name in recorded if name != "logits"]  # the answer itself stays in float
for row, name in enumerate(names[::-1]):
    values = recorded[name].ravel()
    ridge(axes[0], values, row, BLUE)
    limit = values.mean() + 4 * values.std()
    axes[0].plot([limit, limit], [row, row + 0.6], color=RED, lw=1.5)
axes[0].set(yticks=np.arange(len(names)) + 0.2, yticklabels=names[::-1], xlabel="value",
            title="Activations; red: mean + 4 standard deviations")
weights = list(layers)
for row, name in enumerate(weights[::-1]):
    ridge(axes[1], layers[name][0].ravel(), row, GREEN)
axes[1].set(yticks=np.arange(len(weights)) + 0.2, yticklabels=weights[::-1], xlabel="value", title="Weights")
for panel in axes:
    panel.grid(axis="y", visible=False)
    panel.tick_params(axis="y", length=0)
plt.show()
rows = []
for name, values in recorded.items():
    far = np.mean(np.abs(values - values.mean()) > 4 * values.std())
    rows.append({"tensor": name, "min": f"{values.min():.2f}", "max": f"{values.max():.2f}", "mean": f"{values.mean():.2f}",
                 "std": f"{values.std():.2f}", "zeros": f"{100 * np.mean(values == 0):.0f} %",
                 "beyond 4 std": f"{100 * far:.2f} %", "max / std": f"{values.max() / values.std():.1f}"})
table(rows, f"Activations of {len(calibration)} samples")

# %% [markdown]
# Activations after a ReLU are half zeros, with a long tail to the right: the largest value is many standard deviations
# out, and only a fraction of a percent lies beyond four. That tail is what observers argue about.
#
# Weights have another trap. Fold a batch normalization into a convolution and its channels differ in size, by the factor
# $\gamma / \sigma$ of each:

# %% tags=["hidden"]
figure, axes = new_picture(9.5, 2.9)
weight = layers["block3.conv"][0]
reach = np.abs(weight).max(axis=(1, 2, 3))
order = np.argsort(reach)
axes.bar(range(len(reach)), 2 * reach[order], bottom=-reach[order], color=GREEN, width=0.75)
for sign in (-1, 1):
    axes.axhline(sign * reach.max(), color=RED, lw=1.2, ls="--")
axes.set(xlabel="output channels of block3.conv, sorted", ylabel="range of the weights", xlim=(-1, len(reach)),
         title="One ruler for all channels would have to reach to the red lines")
axes.grid(axis="x", visible=False)
plt.show()
say(f"The widest channel reaches {reach.max() / reach.min():.1f} times as far as the narrowest and "
    f"{reach.max() / np.median(reach):.1f} times as far as the median one. That is why weights get one scale per channel.")

# %% [markdown]
# ### Observers
#
# Three ways to turn what was observed into the ends of a ruler. All three see the same values. (Nibble has two more, which other
# tools have made known: `moving-average`, the mean of what each sample reaches, and `entropy`, which keeps the distribution of the
# codes close to that of the values. `nibble quantize --help` lists them.)

# %%
def observe(values, bits, how):
    """The ends of the ruler for activations."""
    low, high = min(values.min(), 0.0), max(values.max(), 0.0)
    if how == "percentile":  # cuts off 0.01 % on each side
        return min(np.quantile(values, 0.0001), 0.0), max(np.quantile(values, 0.9999), 0.0)
    if how == "mse":  # tries shorter and shorter rulers
        def error(share):
            scale, zero_point = asymmetric(low * share, high * share, bits)
            return np.sum((dequantize(quantize(values, scale, zero_point, 0, 2**bits - 1), scale, zero_point) - values) ** 2)

        best = min(0.97 ** np.arange(60), key=error)
        return low * best, high * best
    return low, high


def through(values, ends, bits):
    """Values after the ruler with these ends, and back."""
    scale, zero_point = asymmetric(*ends, bits)
    return dequantize(quantize(values, scale, zero_point, 0, 2**bits - 1), scale, zero_point)


tail = recorded["block3.relu"].ravel()
ends = {(how, bits): observe(tail, bits, how) for bits in (8, 4) for how in ("min-max", "percentile", "mse")}

# %% tags=["hidden"]
figure, axes = new_picture(9.5, 3.6, columns=2, sharey=True)
colours = {"min-max": RED, "percentile": ORANGE, "mse": GREEN}
for panel, bits in zip(axes, (8, 4)):
    panel.hist(tail, 120, color=SKY, log=True)
    for (how, of_bits), (low, high) in ends.items():
        if of_bits == bits:
            label = f"{how}: {sqnr(tail, through(tail, (low, high), bits)):.1f} dB"
            panel.axvline(high, color=colours[how], lw=2, ls={"min-max": ":", "percentile": "-.", "mse": "--"}[how], label=label)
    panel.set(xlabel="value of block3.relu", title=f"{bits} bits: where each observer ends the ruler", ylim=(0.6, None))
    panel.legend(loc="upper right", frameon=True, facecolor="#fcfcfa", edgecolor="none", framealpha=0.9)
axes[0].set_ylabel("how often (logarithmic)")
plt.show()
gain8 = sqnr(tail, through(tail, ends["mse", 8], 8)) - sqnr(tail, through(tail, ends["min-max", 8], 8))
gain4 = sqnr(tail, through(tail, ends["mse", 4], 4)) - sqnr(tail, through(tail, ends["min-max", 4], 4))
say(f"With 8 bits the ruler is fine enough that clipping gains only {gain8:.1f} dB. With 4 bits it gains {gain4:.1f} dB, and "
    "it clips much more: *the coarser the ruler, the more it pays to sacrifice the tail*. A fixed share (`percentile`) does "
    "not know that: what is right for 4 bits may be too much for 8.")

# %% [markdown]
# ### How many samples?
#
# The largest value ever seen keeps growing with the number of samples; what an error-minimizing observer wants to know
# settles much earlier. We calibrate on random subsets of different sizes, many times each.

# %%
sizes, draws = (2, 4, 8, 16, 32, 64, 128, 256), 15
random = np.random.default_rng(3)
per_sample = recorded["block3.relu"].reshape(len(calibration), -1)
found = {how: [[observe(per_sample[random.choice(len(per_sample), size, replace=False)].ravel(), 4, how)[1]
                for _ in range(draws if size < 128 else 5)] for size in sizes] for how in ("min-max", "mse")}

# %% tags=["hidden"]
figure, axes = new_picture(9, 3.2)
for how, marker in (("min-max", "D"), ("mse", "o")):
    middle = [np.median(d) for d in found[how]]
    axes.fill_between(sizes, [min(d) for d in found[how]], [max(d) for d in found[how]], color=colours[how], alpha=0.18, lw=0)
    axes.plot(sizes, middle, color=colours[how], marker=marker, lw=2, ms=5)
    axes.annotate(how, (sizes[-1], middle[-1]), xytext=(9, 0), textcoords="offset points", color=colours[how], va="center")
axes.set(xscale="log", xticks=sizes, xticklabels=sizes, xlabel="calibration samples", ylabel="end of the 4-bit ruler",
         title="Extremes keep growing; the best clipping settles (band: all draws)", xlim=(1.8, 420), ylim=(0, None))
axes.minorticks_off()
plt.show()

# %% [markdown]
# ## With Nibble
#
# `nibble.analyze` does all of this for every tensor in one pass and in constant memory: extremes, moments, a histogram that
# grows by doubling its bins, the same per channel, and the SQNR that each bit-width would give. Its extremes must be ours.

# %%
analysis = nibble.analyze(model, nibble.dataset("digits", split="train"), samples=len(X_train), progress=False)
by_name = {tensor.name: tensor for tensor in analysis}
for name, range_ in ranges.items():
    assert np.isclose(by_name[name].min, range_.low, atol=1e-3) and np.isclose(by_name[name].max, range_.high, atol=1e-3), name
analysis

# %% [markdown]
# The columns on the right say what to expect: about 6 dB per bit again, and *which* tensor will suffer first. Chapter 4
# turns this into a decision.
#
# ## Exercise
#
# Add a single broken sample to the calibration set, a digit whose pixels were multiplied by 20 by mistake. What happens to
# the SQNR of `block1.relu` on the good samples at 8 bits, with the ruler of each observer?

# %%
# Your turn.

# %% tags=["solution"]
seen = {}
with_broken = np.concatenate([calibration, 20 * calibration[:1]])
run_by_hand(with_broken, layers, lambda name, value: seen.setdefault(name, value))
good = recorded["block1.relu"].ravel()
for how in ("min-max", "percentile", "mse"):
    before = sqnr(good, through(good, observe(good, 8, how), 8))
    after = sqnr(good, through(good, observe(seen["block1.relu"].ravel(), 8, how), 8))
    print(f"{how:10}: {before:.1f} dB before, {after:.1f} dB with the broken sample")
# min-max believes the broken sample completely, and the others resist only in part: an observer sees numbers, not mistakes. Look at
# your calibration data before you trust a range.
