# %% [markdown]
# <a id="6"></a>
# # 6 What breaks at 4 bits, and the remedies
#
# ## The idea
#
# At 8 bits post-training quantization nearly always just works. At 4 bits a layer has 16 codes per weight, the error is
# sixteen times as large, and three things go wrong:
#
# - **Noise**: every layer adds some, and it adds up on the way to the output.
# - **Bias**: rounding the weights shifts the *mean* of a channel. Noise averages out over many products; a shift does not.
# - **Range**: one loud channel or one outlier takes the codes from all others.
#
# For each there is a remedy that needs no training. But first we have to *see* the damage, and to judge it honestly.
#
# ## The picture
#
# The way of the error through the network: SQNR of each activation against the float network.

# %%
bits_to_try = (8, 4, 3, 2)
ptq = {bits: nibble.quantize(model, "digits", weights=bits, activations=bits, progress=False) for bits in bits_to_try}
stations = ["block1.relu", "block2.relu", "pool2", "block3.relu", "pool3", "fc1.relu", "logits"]
real = {}
run_by_hand(X_test, layers, lambda name, value: real.setdefault(name, value))
way = {}
for bits, network in ptq.items():
    P = parameters(network)
    scores, codes = run_in_integers(P, X_test)
    way[bits] = [sqnr(real[name], scores if name == "logits" else
                      dequantize(codes[name], P[f"{name}_scale"], P[f"{name}_zero_point"])) for name in stations]

# %% tags=["hidden"]
figure, axes = new_picture(9.3, 3.5)
for (bits, values), colour, marker in zip(way.items(), (GREEN, BLUE, ORANGE, RED), "osD^"):
    axes.plot(stations, values, color=colour, marker=marker, lw=2)
    axes.annotate(f"{bits} bits", (len(stations) - 1, values[-1]), xytext=(9, 0), textcoords="offset points", color=colour,
                  va="center")
axes.set(ylabel="SQNR in dB", title="Where the signal is lost (weights and activations of the bits given)", xlim=(-0.3, 6.8),
         ylim=(0, None))
plt.show()
say(f"The output has {way[8][-1]:.1f} dB at 8 bits, {way[4][-1]:.1f} at 4, {way[3][-1]:.1f} at 3 and {way[2][-1]:.1f} at 2. "
    "Convolutions in the middle lose most; pooling wins something back, because large values survive rounding best; the dense "
    "layers average over many products.")

# %% [markdown]
# `nibble.compare` makes such a table for any network, worst layer first:

# %%
nibble.compare(model, ptq[3], "digits", progress=False)

# %% [markdown]
# ## By hand
#
# ### Judging: intervals and paired tests
#
# Of $n$ test samples $k$ are classified correctly. How sure is $k/n$? The **Clopper-Pearson interval** holds all accuracies for
# which a result like ours is not too surprising (2.5 % at either end); no approximation is involved.
#
# Two networks are compared *on the same samples*. Those that both get right, or both get wrong, say nothing. If the networks
# were equally good, each of the others would be a fair coin toss: **McNemar's exact test** asks how surprising their imbalance
# would then be.

# %%
def at_most(k, n, p):
    """Probability of at most k successes in n trials, each with probability p. In logarithms: n! is too large for a float."""
    factorial = [math.lgamma(i + 1) for i in range(n + 1)]
    return sum(math.exp(factorial[n] - factorial[i] - factorial[n - i] + i * math.log(p) + (n - i) * math.log(1 - p))
               for i in range(k + 1))


def solve(function, low=0.0, high=1.0):
    """Where a falling function crosses zero, by bisection."""
    for _ in range(50):
        middle = (low + high) / 2
        low, high = (middle, high) if function(middle) > 0 else (low, middle)
    return (low + high) / 2


def clopper_pearson(k, n, surprise=0.025):
    low = 0.0 if k == 0 else solve(lambda p: at_most(k - 1, n, p) - (1 - surprise))
    high = 1.0 if k == n else solve(lambda p: at_most(k, n, p) - surprise)
    return low, high


def mcnemar(only_first, only_second):
    n, fewer = only_first + only_second, min(only_first, only_second)
    return min(1.0, 2 * sum(math.comb(n, i) for i in range(fewer + 1)) / 2**n)


right = {name: run_in_integers(parameters(network), X_test)[0].argmax(1) == y_test for name, network in ptq.items()}
right["float"] = real["logits"].argmax(1) == y_test
judged = nibble.evaluate({"float": model, "3 bits": ptq[3]}, "digits", progress=False)
low, high = clopper_pearson(int(right[3].sum()), len(y_test))
p_value = mcnemar(int(np.sum(right["float"] & ~right[3])), int(np.sum(~right["float"] & right[3])))
assert np.allclose([low, high], [judged[1].low, judged[1].high], atol=1e-9)
assert np.isclose(p_value, judged[1].difference.p_value)
say(f"3 bits, by hand: {100 * right[3].mean():.1f} % of {len(y_test)}, 95 % interval [{100 * low:.2f}, {100 * high:.2f}], "
    f"p = {p_value:.3f} against float. Nibble says the same.")

# %% [markdown]
# How small a loss *could* we see with so few samples? Suppose the quantized network only ever loses (it never gets a sample
# right that float got wrong), which is the easiest case to notice:

# %%
needed = next(lost for lost in range(1, 100) if mcnemar(lost, 0) < 0.05)
say(f"It would have to lose at least {needed} samples of {len(y_test)}, {100 * needed / len(y_test):.1f} points, before p falls "
    "below 0.05. So do not conclude \"no loss\" from an accuracy table alone. SQNR sees what accuracy cannot yet see, because it "
    "measures all scores instead of counting a few errors.")

# %% [markdown]
# ### Remedy 1: take the mean error back
#
# Rounded weights $\hat w$ make, on average over the data, the error $\sum (\hat w - w)\,\mathrm{E}[x]$ in a channel. We know the
# mean of each input channel from calibration, so we can subtract that error from the bias. (Nagel et al., 2019,
# arXiv:1906.04721.)

# %%
weight, bias = layers["block3.conv"]
coarse = rounded(weight, 3)
data = recorded["pool2"]
exact, rough = conv3x3(data, weight), conv3x3(data, coarse)
means = data.mean(axis=(0, 2, 3))
correction = ((coarse - weight) * means[None, :, None, None]).sum(axis=(1, 2, 3))
corrected = rough - correction[:, None, None]
shift_before, shift_after = (np.mean(value - exact, axis=(0, 2, 3)) for value in (rough, corrected))

# %% tags=["hidden"]
figure, axes = new_picture(9.3, 2.9)
places = np.arange(len(shift_before))
axes.bar(places - 0.2, shift_before, 0.4, color=RED, label="rounded to 3 bits")
axes.bar(places + 0.2, shift_after, 0.4, color=GREEN, label="with corrected bias")
axes.set(xlabel="output channels of block3.conv", ylabel="mean error", title="Rounding shifts the mean of each channel",
         xlim=(-1, len(places)), ylim=(None, 0.34))
axes.legend(ncols=2, loc="upper right")
axes.grid(axis="x", visible=False)
plt.show()
say(f"SQNR of the layer: {sqnr(exact, rough):.2f} dB before, {sqnr(exact, corrected):.2f} dB after. What is left of the shift comes "
    "from the border, where the padding is zero and the mean of the data is not what we assumed.")

# %% [markdown]
# ### Remedy 2: make channels equally loud
#
# Some networks look harmless and break completely. Take ours, multiply channel $c$ of a layer by a factor $f_c$, and divide the
# weights that read it by $f_c$. A ReLU lets positive factors through, so the *function* does not change at all; but now some
# channels are loud and some are quiet, and activations share one ruler. Networks with depthwise convolutions get into this state
# by themselves during training.
#
# The remedy is to turn the factors around: **cross-layer equalization** chooses them such that each channel reaches equally far
# in both layers, $f_c = \sqrt{r^{(2)}_c / r^{(1)}_c}$ (Nagel et al., 2019).

# %%
def rescale(layers, first, second, factors):
    """The same function with the channels between two layers multiplied by `factors`."""
    (w1, b1), (w2, b2) = layers[first], layers[second]
    return layers | {first: (w1 * factors[:, None, None, None], b1 * factors), second: (w2 / factors[None, :, None, None], b2)}


def equalize(layers, first, second):
    r1 = np.abs(layers[first][0]).max(axis=(1, 2, 3))
    r2 = np.abs(layers[second][0]).max(axis=(0, 2, 3))
    return rescale(layers, first, second, np.sqrt(r2 / r1).astype(np.float32))


def as_model(layers):
    """Our layers as an ONNX file: the float network without its batch normalizations."""
    whole = model.to_onnx()
    graph, kept = whole.graph, []
    for node in graph.node:
        if node.op_type != "BatchNormalization":
            if node.op_type == "Conv":
                node.input.append(f"{node.name}.bias")
                node.output[0] = f"{node.output[0].removesuffix('.conv')}.bn"
            kept.append(node)
    del graph.node[:], graph.initializer[:]
    graph.node.extend(kept)
    for name, (weight, bias) in layers.items():
        graph.initializer.append(numpy_helper.from_array(weight.astype(np.float32), f"{name}.weight"))
        graph.initializer.append(numpy_helper.from_array(bias.astype(np.float32), f"{name}.bias"))
    return nibble.load(whole)


random = np.random.default_rng(6)
factors = np.exp(random.normal(0, 1.7, 16)).astype(np.float32)  # powers of ten between the loudest and the quietest
broken = rescale(rescale(layers, "block1.conv", "block2.conv", factors), "block2.conv", "block3.conv", np.tile(factors, 2))
mended = equalize(equalize(broken, "block1.conv", "block2.conv"), "block2.conv", "block3.conv")
for variant in (broken, mended):
    assert np.allclose(run_by_hand(X_test, variant, lambda n, v: v), real["logits"], atol=1e-2)  # the same function

unequal = {"float": model}
for name, variant in (("as it was", layers), ("rescaled", broken), ("rescaled, then equalized", mended)):
    unequal[name + ", 4 bits"] = nibble.quantize(as_model(variant), "digits", weights=4, activations=4, progress=False)
score_table(unequal, caption=f"The same function in three disguises ({len(X_test)} test samples)")

# %% tags=["hidden"]
figure, axes = new_picture(9.3, 2.7, columns=3, sharey=True)
for panel, (name, variant) in zip(axes, (("as it was", layers), ("rescaled", broken), ("equalized", mended))):
    seen = {}
    run_by_hand(calibration, variant, lambda n, v: seen.setdefault(n, v))
    tops = seen["block1.relu"].max(axis=(0, 2, 3))
    panel.bar(range(len(tops)), tops, color=BLUE, width=0.75)
    panel.axhline(tops.max() / 15, color=RED, ls="--", lw=1.3)
    panel.set(yscale="log", xlabel="channel of block1.relu", title=name)
    panel.grid(axis="x", visible=False)
axes[0].set_ylabel("largest value")
plt.show()
say("Red: one step of a 4-bit ruler that reaches to the loudest channel. What stays below half of it is rounded to zero.")

# %% [markdown]
# ## With Nibble
#
# Here is each remedy that Nibble applies, one added after the other, from naive rounding to its defaults and beyond, at 4 and at
# 3 bits. SQNR is that of the scores on the test samples.

# %%
steps = [("min-max, nothing else", dict(weight_observer="min-max", activation_observer="min-max", bias_correction=False,
                                        first_and_last_8bit=False)),
         ("+ weights: mse", dict(weight_observer="mse")), ("+ activations: mse", dict(activation_observer="mse")),
         ("+ corrected bias", dict(bias_correction=True)), ("+ first and last layer 8 bits", dict(first_and_last_8bit=True)),
         ("+ activations 8 bits", dict(activations=8))]
ladder = {}
for bits in (4, 3):
    settings = dict(weights=bits, activations=bits)
    for name, change in steps:
        settings |= change
        ladder[bits, name] = nibble.quantize(model, "digits", progress=False, **settings)
for bits in (4, 3):
    networks = {"float": model} | {name: ladder[bits, name] for name, _ in steps}
    rows = []
    for row in nibble.evaluate(networks, "digits", progress=False):
        scores = nibble.Session(networks[row.model]).run(None, {"input": X_test})[0]
        rows.append({f"{bits} bits": row.model, "SQNR": "" if row.model == "float" else f"{sqnr(real['logits'], scores):.1f} dB",
                     "accuracy [95 %]": f"{100 * row.value:.1f} % [{100 * row.low:.1f}, {100 * row.high:.1f}]",
                     "p against float": "" if row.model == "float" else f"{row.difference.p_value:.2g}"})
    table(rows)

# %% [markdown]
# Not every step helps every time: an observer minimizes the error of *its* tensor, which is not quite the error of the output.
# That is why you measure. The order of what usually pays: scales per channel, clipping, bias correction, 8 bits at the ends, and
# where that is not enough, more bits for a few layers (chapter 4) or training (chapters 7 and 8).
#
# ### Or say what must be kept
#
# All that trying can be left to the program: you name the goal, and it climbs from cheap to expensive remedies until it has found the
# smallest network that keeps to it. What decides is the end of an interval, not the value in its middle; the samples that decide are
# none of those that calibrate; and since every look is one more chance to be lucky, the intervals are wider than 95 %, so that all
# looks *together* are wrong in 5 % of cases. (With thousands of labelled samples you would rather bound the loss of accuracy,
# `max_drop=0.5`.)

# %%
found = nibble.quantize(model, "digits", min_sqnr=27, calibration=200, progress=False)
climbed = found.report["ladder"]
rows = []
for rung in climbed["rungs"]:
    verdict = rung["verdict"]
    low, high = verdict["interval"]
    rows.append({"tried": rung["setting"], "file": f"{rung['bytes'] / 1000:.1f} kB",
                 f"SQNR [{100 * verdict['confidence']:.1f} %]": f"{verdict['value']:.1f} dB [{low:.1f}, {high:.1f}]",
                 "at least 27 dB?": "yes" if verdict["kept"] else "no", "then": rung["next"]})
table(rows, f"{climbed['calibration_samples']} samples calibrate, {climbed['decision_samples']} others decide")
low, high = climbed["report"]["interval"]
say(f"On {climbed['report']['samples']} samples that decided nothing: {climbed['report']['value']:.1f} dB [{low:.1f}, {high:.1f}].")

# %% [markdown]
# ## Exercise
#
# Rounding each weight to its *nearest* code is not the best one can do: an error in one weight can be made up for by its
# neighbours. Round the columns of `fc1` one after the other, and after each add what it lost to the columns not yet rounded, in
# proportion to how the inputs are correlated: with $H = X^T X$ of the layer's inputs and the Cholesky factor $U$ of $H^{-1}$, the
# loss of column $j$, divided by $U_{jj}$, times row $j$ of $U$ is subtracted from the columns behind it. (This is GPTQ, Frantar
# et al., 2022, arXiv:2210.17323.) Compare the SQNR of the layer on *test* samples with rounding to nearest, at 3 bits.

# %%
# Your turn.

# %% tags=["solution"]
weight = layers["fc1"][0].astype(np.float64)
inputs = recorded["flatten"].astype(np.float64)
H = inputs.T @ inputs
H += 0.01 * np.mean(np.diag(H)) * np.eye(len(H))  # some inputs are always zero
U = np.linalg.cholesky(np.linalg.inv(H)).T        # upper: inverse of H = U^T U
scale, (low, high) = best_scale(layers["fc1"][0], 3).ravel(), symmetric_codes(3)
left, result = weight.copy(), np.zeros_like(weight)
for j in range(weight.shape[1]):
    result[:, j] = np.clip(np.round(left[:, j] / scale), low, high) * scale
    left[:, j:] -= np.outer((left[:, j] - result[:, j]) / U[j, j], U[j, j:])
unseen = real["flatten"]
for name, approximation in (("nearest", rounded(layers["fc1"][0], 3)), ("one after the other", result)):
    print(f"{name:20}: {sqnr(unseen @ layers['fc1'][0].T, unseen @ approximation.T):.1f} dB on test samples")
