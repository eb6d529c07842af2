# %% [markdown]
# <a id="4"></a>
# # 4 Choosing the bit-width
#
# ## The idea
#
# Not every layer is equally delicate. Measure for each how much the *output* suffers when only this layer gets fewer bits
# (its **sensitivity**), and spend the bits where they count. If the errors of the layers are independent, their energies
# add up, and then the choice of the best bits for a given size is a small puzzle (a knapsack), not a search through all
# combinations.
#
# ## By hand
#
# We quantize the weights of single layers, per channel, with the scale of least squared error, and let the activations be
# for a moment. `run_by_hand` of chapter 3 does the rest.

# %%
def best_scale(weights, bits):
    """For each output channel (the first axis) the scale of least squared error."""
    low, high = symmetric_codes(bits)
    widest = symmetric(weights, bits, axis=0)
    others = tuple(range(1, weights.ndim))
    least, best = np.full(widest.shape, np.inf), widest
    for share in 0.97 ** np.arange(60):
        scale = (widest * share).astype(np.float32)
        error = np.sum((dequantize(quantize(weights, scale, 0, low, high), scale) - weights) ** 2, axis=others, keepdims=True)
        best, least = np.where(error < least, scale, best), np.minimum(error, least)
    return best


def rounded(weights, bits):
    """The weights after `bits` bits and back."""
    scale = best_scale(weights, bits)
    return dequantize(quantize(weights, scale, 0, *symmetric_codes(bits)), scale)


candidates = (8, 6, 4, 3, 2)
cache = {(name, bits): rounded(weight, bits) for name, (weight, _) in layers.items() for bits in candidates}


def with_bits(bits):
    """The network with the weights of each layer at the bits that `bits` gives it."""
    return {name: (cache[name, bits[name]] if name in bits else weight, bias) for name, (weight, bias) in layers.items()}


probe = calibration[:128]
reference = run_by_hand(probe, layers)
sensitivity = {(name, b): sqnr(reference, run_by_hand(probe, with_bits({name: b}))) for name in layers for b in candidates}

# %% [markdown]
# ## The picture
#
# Left: SQNR of the output when a single layer gets the bits below it. Right: how many weights there are to save.

# %% tags=["hidden"]
figure, axes = new_picture(9.5, 3.1, columns=2, gridspec_kw={"width_ratios": [1.5, 1]}, sharey=True)
names = list(layers)
grid = np.array([[sensitivity[name, b] for b in candidates] for name in names])
axes[0].imshow(grid, cmap="cividis", aspect="auto", vmin=5, vmax=50)
for i in range(len(names)):
    for j in range(len(candidates)):
        axes[0].text(j, i, f"{grid[i, j]:.0f}", ha="center", va="center", color="white" if grid[i, j] < 32 else INK)
axes[0].set(xticks=range(len(candidates)), xticklabels=candidates, yticks=range(len(names)), yticklabels=names,
            xlabel="bits of this layer's weights", title="SQNR of the output in dB (bright is good)")
axes[0].grid(visible=False)
counts = [layers[name][0].size for name in names]
axes[1].barh(range(len(names)), counts, color=GREEN, height=0.6)
for row, count in enumerate(counts):
    axes[1].text(count, row, f" {count:,}", va="center")
axes[1].set(xlabel="weights", title="Weights in the layer", xlim=(0, max(counts) * 1.25))
axes[1].grid(axis="y", visible=False)
plt.show()
frail, tough = min(names, key=lambda n: sensitivity[n, 4]), max(names, key=lambda n: sensitivity[n, 4])
say(f"At 4 bits the network is most sensitive to **{frail}** ({sensitivity[frail, 4]:.1f} dB) and least to **{tough}** "
    f"({sensitivity[tough, 4]:.1f} dB). Weigh that against what there is to save: {frail} holds "
    f"{100 * layers[frail][0].size / sum(counts):.0f} % of the weights, {tough} {100 * layers[tough][0].size / sum(counts):.0f} %.")

# %% [markdown]
# ### All combinations, and the front
#
# Five layers with 8, 4 or 2 bits each: few enough to try them *all*, which no one can with a large network. That lets us
# check the assumption that error energies add up.

# %%
import itertools

choices = (8, 4, 2)
tried = []
for combination in itertools.product(choices, repeat=len(names)):
    bits = dict(zip(names, combination))
    noise = sum(10 ** (-sensitivity[name, b] / 10) for name, b in bits.items())
    tried.append({"bits": combination, "kB": sum(layers[n][0].size * b for n, b in bits.items()) / 8e3,
                  "predicted": -10 * np.log10(noise), "measured": sqnr(reference, run_by_hand(probe, with_bits(bits)))})


def front(tried, value):
    """The combinations that no other beats: none is smaller and better."""
    best, result = -np.inf, []
    for point in sorted(tried, key=lambda p: (p["kB"], -p[value])):
        if point[value] > best:
            best, result = point[value], [*result, point]
    return result


true_front, predicted_front = front(tried, "measured"), front(tried, "predicted")

# %% [markdown]
# ## With Nibble
#
# `nibble.choose_bits` measures the sensitivities and solves the puzzle, for an average number of bits per weight or for a
# size of the file. It chooses between 8 and 4 bits. (By default it leaves the first and the last layer at 8 bits; here we
# let it choose for all of them, to compare with our front.)

# %%
from_nibble = []
for average in (4.2, 4.5, 5.0, 5.5, 6.0, 7.0):
    choice = nibble.choose_bits(model, "digits", average_bits=average, first_and_last_8bit=False, progress=False)
    bits = {name: choice.bits[name][0] for name in names}
    point = next(p for p in tried if p["bits"] == tuple(bits.values()))
    from_nibble.append({"asked for": f"{average} bits on average", **bits, "weights": f"{point['kB']:.1f} kB",
                        "SQNR of the output": f"{point['measured']:.1f} dB", "point": point})
table([{k: v for k, v in row.items() if k != "point"} for row in from_nibble], "Bits per layer, chosen by Nibble")

# %% tags=["hidden"]
figure, axes = new_picture(9.5, 4.0, columns=2, gridspec_kw={"width_ratios": [1.6, 1]})
axes[0].scatter([p["kB"] for p in tried], [p["measured"] for p in tried], s=16, color=GREY, alpha=0.55, lw=0,
                label=f"all {len(tried)} combinations")
axes[0].step([p["kB"] for p in true_front], [p["measured"] for p in true_front], where="post", color=BLUE, lw=1.8,
             label="the Pareto front")
axes[0].scatter([p["kB"] for p in predicted_front], [p["measured"] for p in predicted_front], s=46, facecolors="none",
                edgecolors=ORANGE, lw=1.6, label="front by the sum of error energies")
axes[0].scatter([r["point"]["kB"] for r in from_nibble], [r["point"]["measured"] for r in from_nibble], marker="*", s=130,
                color=GREEN, edgecolors="white", lw=0.5, zorder=5, label="chosen by Nibble (8 or 4 bits)")
axes[0].set(xlabel="weights in kB", ylabel="SQNR of the output in dB", title="Size against quality: up and to the left is better")
axes[0].legend(loc="lower right", fontsize=9.5)
axes[1].scatter([p["predicted"] for p in tried], [p["measured"] for p in tried], s=14, color=ORANGE, alpha=0.6, lw=0)
ends = [min(p["predicted"] for p in tried), max(p["predicted"] for p in tried)]
axes[1].plot(ends, ends, color=GREY, lw=1, ls="--")
axes[1].set(xlabel="predicted SQNR in dB", ylabel="measured SQNR in dB", title="Do error energies add up?")
plt.show()
gap = [p["measured"] - p["predicted"] for p in tried]
shared = sum(any(p is q for q in true_front) for p in predicted_front)
say(f"Measured minus predicted: {np.mean(gap):+.1f} dB on average, between {min(gap):+.1f} and {max(gap):+.1f}. The assumption "
    f"is not exact, but {shared} of the {len(predicted_front)} combinations on the predicted front lie on the true one, for "
    f"{len(sensitivity)} measurements instead of {len(tried)}.")

# %% [markdown]
# ### And the activations?
#
# Their bits do not change the size of the file. They matter for the arithmetic: how wide the integers are that the kernels
# multiply. The next table has both; it is the whole network, quantized and run with integers.

# %%
combinations = {f"W{w} A{a}": nibble.quantize(model, "digits", weights=w, activations=a, progress=False)
                for w, a in ((8, 8), (8, 4), (4, 8), (4, 4), (3, 3), (2, 2))}
score_table({"float": model, **combinations},
            caption=f"W: bits of weights, A: bits of activations; the first and last layer keep 8 ({len(X_test)} test samples)")

# %% [markdown]
# Read the intervals, not the third digit: with some hundred samples, a difference of a few tenths of a point means nothing.
# What the table does show is where the floor gives way.
#
# ## Exercise
#
# Trying all combinations is hopeless for 50 layers. Write the greedy method: start with 8 bits everywhere and again and
# again make the step (8 to 4, or 4 to 2) that adds the least error energy per byte saved, using only `sensitivity`. How many
# of its points lie on the true front?

# %%
# Your turn.

# %% tags=["solution"]
bits, greedy = {name: 8 for name in names}, []
while True:
    greedy.append(next(p for p in tried if p["bits"] == tuple(bits.values())))
    steps = {name: b // 2 for name, b in bits.items() if b > 2}
    if not steps:
        break
    energy = lambda name, b: 10 ** (-sensitivity[name, b] / 10)
    price = {n: (energy(n, b) - energy(n, bits[n])) / (layers[n][0].size * (bits[n] - b)) for n, b in steps.items()}
    cheapest = min(price, key=price.get)
    bits[cheapest] = steps[cheapest]
for point in greedy:
    on_front = any(point is other for other in true_front)
    print(point["bits"], f"{point['kB']:5.1f} kB {point['measured']:5.1f} dB", "on the front" if on_front else "")
print(sum(any(p is q for q in true_front) for p in greedy), "of", len(greedy), "are on the front")
