# %% [markdown]
# <a id="8"></a>
# # 8 Fine-tuning a quantized network
#
# ## The idea
#
# QAT starts from the float network. Sometimes there is none: someone hands you a quantized file, or the float weights are gone. Then
# **quantization-aware fine-tuning** (QAFT) starts from the codes themselves. Each weight begins exactly on a mark of its ruler; the
# optimizer keeps a real number behind each code, which moves a little with every step, and when it crosses the middle between two
# marks, the code changes. Everything else is as in chapter 7.
#
# It also is the cheap way: a few epochs at a small learning rate repair most of what PTQ broke. What it cannot do is bring back what
# rounding has already forgotten.
#
# ## By hand
#
# The tiny network again, three ways to spend the same number of steps: QAT from the float weights, QAFT from the codes of PTQ, and
# training at 2 bits from scratch, without any float training at all.

# %%
def fine_tune_from_codes(rounded_network):
    """A copy whose weights are what the codes say. The float weights are forgotten."""
    other = rounded_network.copy()
    for i, quantizer in enumerate(rounded_network.q_w):
        other.W[i] = quantizer.forward(rounded_network.W[i])
    other.q_w = [FakeQuantizer(q.step, q.low, q.high) for q in rounded_network.q_w]
    other.q_x = [FakeQuantizer(q.step, q.low, q.high) for q in rounded_network.q_x]
    return other


budgets, seeds = (5, 10, 20, 40, 80, 160), range(7)
reached = {"QAT from float weights": [], "QAFT from codes": [], "2 bits from scratch": []}
after_ptq = []
for seed in seeds:
    whole = Tiny(seed)
    train_tiny(whole, x_moons, y_moons, steps=300)
    ptq_tiny = whole.quantized(x_moons)
    after_ptq.append(ptq_tiny.accuracy(x_new, y_new))
    for steps_ in budgets:
        starts = {"QAT from float weights": whole.quantized(x_moons), "QAFT from codes": fine_tune_from_codes(ptq_tiny),
                  "2 bits from scratch": Tiny(seed).quantized(x_moons)}
        assert np.array_equal(starts["QAFT from codes"].scores(x_new), ptq_tiny.scores(x_new))  # it starts where PTQ ended
        for name, network in starts.items():
            train_tiny(network, x_moons, y_moons, steps=steps_, learn_steps=True)
            reached[name].append((steps_, network.accuracy(x_new, y_new)))

# %% [markdown]
# ## The picture

# %% tags=["hidden"]
figure, axes = new_picture(9.3, 3.5)
for (name, points), colour, marker in zip(reached.items(), (GREEN, BLUE, ORANGE), "osD"):
    by_budget = {b: [100 * a for s, a in points if s == b] for b in budgets}
    middle = [np.median(v) for v in by_budget.values()]
    axes.fill_between(budgets, [np.quantile(v, 0.25) for v in by_budget.values()], [np.quantile(v, 0.75) for v in by_budget.values()],
                      color=colour, alpha=0.16, lw=0)
    axes.plot(budgets, middle, color=colour, marker=marker, lw=2, label=name)
axes.axhline(100 * np.median(after_ptq), color=RED, ls=":", lw=1.5, label="PTQ, not trained")
axes.set(xscale="log", xticks=budgets, xticklabels=budgets, xlabel="training steps at 2 bits", ylabel="accuracy in %",
         title=f"Where a budget of steps takes you (median of {len(seeds)} seeds, band: middle half)")
axes.minorticks_off()
axes.legend(fontsize=9.5, loc="lower right")
plt.show()

# %% [markdown]
# ## With Nibble
#
# `nibble.finetune` takes *any* quantized ONNX file, of Nibble or of another tool. We give it the 2-bit file of PTQ, for which there
# was most to repair, and compare it with QAT of chapter 7. The learning rate matters more than usual: with 2 bits the marks of the
# ruler are far apart, and a weight that starts on a mark has to walk half a step before its code changes. So we try the default,
# which is meant for 4 and 8 bits, and a larger one, and choose on the validation samples.

# %%
runs, rows = {}, []
started = time.perf_counter()
for rate in (0.001, 0.02):
    runs[rate] = nibble.finetune(ptq[2], "digits", seed=0, learning_rate=rate, progress=False)
    after = parameters(runs[rate].model)
    codes = [f"{name}.weight_quantized" for name in ("block2.conv", "block3.conv", "fc1")]
    changed = np.concatenate([(after[key] != before[key]).ravel() for key in codes])
    best = max(epoch["validation_accuracy"] for epoch in runs[rate].history)
    rows.append({"learning rate": rate, "codes of 2 bits that changed": f"{100 * changed.mean():.1f} %",
                 f"best accuracy on {count} validation samples": f"{100 * best:.1f} %"})
seconds = time.perf_counter() - started
table(rows, f"QAFT of the 2-bit file, {len(runs[0.001].history)} epochs each, {seconds:.1f} s together")

chosen = max(runs, key=lambda rate: max(epoch["validation_accuracy"] for epoch in runs[rate].history))
tuned = runs[chosen]
qaft2 = tuned.model
qaft2.save(FILES / "qaft-w2a2.onnx")
score_table({"float": model, "PTQ, 2 bits": ptq[2], "QAFT, 2 bits": qaft2, "QAT, 2 bits": qat2})

# %% tags=["hidden"]
figure, axes = new_picture(9.5, 3.2, columns=2, gridspec_kw={"width_ratios": [1.5, 1]})
curves_8 = [("QAT", aware, GREEN, "o"), *((f"QAFT, rate {rate}", run, colour, marker) for (rate, run), colour, marker in
                                          zip(runs.items(), (ORANGE, BLUE), "Ds"))]
for name, run, colour, marker in curves_8:
    axes[0].plot(range(1, len(run.history) + 1), [100 * e["validation_accuracy"] for e in run.history], color=colour, marker=marker,
                 ms=4, lw=1.8, label=name)
axes[0].set(xlabel="epoch", ylabel="accuracy in %", title=f"Accuracy on {count} validation samples")
axes[0].legend(loc="lower right", fontsize=9.5)
old, new = before["fc1.weight_quantized"].ravel(), parameters(qaft2)["fc1.weight_quantized"].ravel()
moved = np.array([[np.mean((old == a) & (new == b)) for b in range(-2, 2)] for a in range(-2, 2)])
axes[1].imshow(moved, cmap="cividis", vmin=0, vmax=moved.max())
for i in range(4):
    for j in range(4):
        axes[1].text(j, i, f"{100 * moved[i, j]:.1f} %", ha="center", va="center", fontsize=9.5,
                     color=INK if moved[i, j] > 0.5 * moved.max() else "white")
axes[1].set(xticks=range(4), xticklabels=range(-2, 2), yticks=range(4), yticklabels=range(-2, 2), xlabel="code after QAFT",
            ylabel="code before", title=f"Codes of fc1, rate {chosen}")
axes[1].grid(visible=False)
plt.show()
say("With the small rate hardly any code changes; what is learned are the biases and the steps. With the larger one codes move too, "
    "nearly always to a neighbour.")

# %% [markdown]
# And at 4 bits, where PTQ had lost nothing that we can see?

# %%
tuned4 = nibble.finetune(small4, "digits", seed=0, progress=False).model
score_table({"float": model, "PTQ, 4 bits": small4, "QAFT, 4 bits": tuned4})

# %% [markdown]
# No difference that the intervals would support: where PTQ is good enough, training is a waste of time. Which method when?
#
# | you have | and | use |
# |---|---|---|
# | a model, a few hundred samples | 8 bits | PTQ |
# | a model, a few hundred samples | 4-bit weights | PTQ with the remedies of chapter 6, or mixed bits |
# | the float model, training data | 4 bits or fewer, PTQ loses too much | QAT |
# | only a quantized file, training data | it loses too much | QAFT |
#
# ## Exercise
#
# How few samples are enough to fine-tune on? Take the first 50, 200 and all of the training samples, `nibble.finetune(ptq[2],
# (X, y), ...)`, with the rate chosen above and 5 epochs, and look at the accuracy on the validation samples that Nibble sets aside
# from them. Then ask yourself how wide the interval of that accuracy is, and why you must not choose by the *test* samples instead.

# %%
# Your turn.

# %% tags=["solution"]
for many in (50, 200, len(X_train)):
    run = nibble.finetune(ptq[2], (X_train[:many], y_train[:many]), seed=0, learning_rate=chosen, epochs=5, progress=False)
    best = max(run.history, key=lambda epoch: epoch["validation_accuracy"])
    accuracy, n = best["validation_accuracy"], best["validation_samples"]
    low, high = clopper_pearson(round(accuracy * n), n)
    print(f"{many:4} samples: {100 * accuracy:.1f} % of {n} validation samples, 95 % interval [{100 * low:.1f}, {100 * high:.1f}]")
# The best of several tries is partly lucky. If you pick the luckiest on the test samples, they no longer tell you what to expect
# from new data. Nibble never looks at the test part in training.
