# %% [markdown]
# <a id="7"></a>
# # 7 Quantization-aware training
#
# ## The idea
#
# So far the network was trained first and rounded afterwards. It never had a chance to *adapt*. **Quantization-aware training**
# (QAT) rounds during training: in the forward pass weights and activations go through the ruler and back (this is called *fake
# quantization*), so the loss sees the rounded network, and the optimizer looks for weights that are good *after* rounding.
#
# There is one obstacle: the derivative of a staircase is zero almost everywhere. Nothing would ever be learned. Two tricks help:
#
# - The **straight-through estimator** (STE): in the backward pass pretend that rounding did nothing. Inside the ruler the gradient
#   passes unchanged; beyond its ends, where the value is clipped, it is zero.
# - **Learned steps** (LSQ, Esser et al., 2020, arXiv:1902.08153): the scale $s$ is a parameter like any other. With the same
#   pretence, the derivative of $s \cdot \mathrm{round}(x/s)$ with respect to $s$ is $\mathrm{round}(x/s) - x/s$ inside the ruler
#   and the last code beyond it.
#
# ## The picture

# %% tags=["hidden"]
v = np.linspace(-3.4, 2.6, 1201)
low, high = -2, 1
stairs = np.clip(np.round(v), low, high)
inside = (v > low) & (v < high)
figure, axes = new_picture(9.5, 3.3, columns=3)
axes[0].plot(v, v, color=GREY, ls="--", lw=1)
axes[0].plot(v, stairs, color=BLUE, lw=2)
axes[0].set(title="Forward: stairs", xlabel="x / s", ylabel="code")
axes[1].plot(v, np.zeros_like(v), color=RED, lw=1.8, label="the true one")
axes[1].plot(v, inside, color=GREEN, lw=2, label="straight through")
axes[1].set(title="Derivative by x", xlabel="x / s", ylim=(-0.2, 1.45))
axes[1].legend(loc="upper center", ncols=1, fontsize=9.5)
axes[2].plot(v, np.where(inside, np.round(v) - v, np.clip(v, low, high)), color=GREEN, lw=2)
axes[2].set(title="Derivative by the step s", xlabel="x / s", ylim=(-2.4, 1.4))
axes[2].annotate("clipped values ask for\na longer step", (-2.1, -2), xytext=(-1.4, -1.65), fontsize=9.5,
                 arrowprops={"arrowstyle": "-", "color": GREY})
plt.show()

# %% [markdown]
# ## By hand
#
# ### A quantizer with a backward pass
#
# A tiny problem, so that nothing is hidden by size: two interleaved half-moons in the plane, to be told apart by a network with two
# hidden layers. First the fake quantizer. It remembers what its backward pass needs, as every layer of every framework does.

# %%
class FakeQuantizer:
    """Through a ruler with codes `low` to `high` and back. The step may be learned."""

    def __init__(self, step, low, high):
        self.step, self.low, self.high = float(step), low, high

    def forward(self, x):
        self.v = x / self.step
        return np.clip(np.round(self.v), self.low, self.high) * self.step

    def backward(self, gradient):
        """The gradients by x (straight through) and by the step."""
        inside = (self.v > self.low) & (self.v < self.high)
        by_step = np.where(inside, np.round(self.v) - self.v, np.clip(self.v, self.low, self.high))
        # Many values share one step, so its gradient is scaled down (Esser et al., section 2.2).
        fair = 1 / math.sqrt(self.v.size * max(self.high, 1))
        return gradient * inside, float(np.sum(gradient * by_step) * fair)


# Is the formula right? Where no value crosses a border between codes, the stairs are s * constant, and the true slope by s is the
# code. The straight-through slope differs from it by v, inside the ruler: that is the pretence, and it is all of it.
values = np.array([0.2, 0.7, -1.3, 5.0, -9.0])
quantizer = FakeQuantizer(0.5, -2, 1)
eps = 1e-6
longer, shorter = FakeQuantizer(0.5 + eps, -2, 1).forward(values), FakeQuantizer(0.5 - eps, -2, 1).forward(values)
slope = (longer - shorter) / (2 * eps)
quantizer.forward(values)
codes = np.clip(np.round(quantizer.v), -2, 1)
assert np.allclose(slope, codes, atol=1e-4)

# %% [markdown]
# ### The network and its training
#
# Three dense layers, written out with their gradients. Every weight matrix has 2 bits (four codes: -2, -1, 0, 1), and so has every
# activation between the layers (0 to 3). Training is plain Adam on all data at once; the steps are trained along when `learn_steps`
# is set.

# %%
def moons(count, seed):
    random = np.random.default_rng(seed)
    angle, side = random.uniform(0, np.pi, count), random.integers(0, 2, count)
    x = np.where(side, 1 - np.cos(angle), np.cos(angle)) - 0.5
    y = np.where(side, 0.5 - np.sin(angle), np.sin(angle)) - 0.25
    return np.stack([x, y], axis=1) + random.normal(0, 0.15, (count, 2)), side.astype(np.float64)


class Tiny:
    """2 -> 32 -> 32 -> 1, with fake quantizers (or none) before each product."""

    def __init__(self, seed=0):
        random = np.random.default_rng(seed)
        sizes = (2, 32, 32, 1)
        self.W = [random.normal(0, math.sqrt(2 / a), (a, b)) for a, b in zip(sizes, sizes[1:])]
        self.b = [np.zeros(b) for b in sizes[1:]]
        self.q_w = self.q_x = None

    def copy(self):
        other = Tiny()
        other.W, other.b = [w.copy() for w in self.W], [b.copy() for b in self.b]
        return other

    def quantized(self, x, bits=2):
        """This network with rulers of least squared error, calibrated on x: that is PTQ."""
        other = self.copy()
        low, high = -(2 ** (bits - 1)), 2 ** (bits - 1) - 1

        def best(values, low, high):
            steps = np.abs(values).max() / max(high, -low) * 0.95 ** np.arange(60)
            return min(steps, key=lambda s: np.sum((FakeQuantizer(s, low, high).forward(values) - values) ** 2))

        inputs = []
        self.scores(x, inputs)
        other.q_w = [FakeQuantizer(best(w, low, high), low, high) for w in self.W]
        # The coordinates that go in keep 8 bits.
        other.q_x = [FakeQuantizer(np.abs(inputs[0]).max() / 127, -127, 127)]
        other.q_x += [FakeQuantizer(best(h, 0, 2**bits - 1), 0, 2**bits - 1) for h in inputs[1:]]
        return other

    def scores(self, x, inputs=None):
        self.used, h = [], x
        for i, (w, b) in enumerate(zip(self.W, self.b)):
            if inputs is not None:
                inputs.append(h)
            w = self.q_w[i].forward(w) if self.q_w else w
            h = self.q_x[i].forward(h) if self.q_x else h
            self.used.append((h, w))
            h = h @ w + b
            h = relu(h) if i < 2 else h
        return h[:, 0]

    def gradients(self, x, y):
        """The loss, and its gradients by weights, biases and steps."""
        score = self.scores(x)
        loss = np.mean(np.logaddexp(0, score) - y * score)  # cross-entropy of a sigmoid
        g = ((1 / (1 + np.exp(-score)) - y) / len(y))[:, None]
        by_w, by_b, by_step = [None] * 3, [None] * 3, {}
        for i in (2, 1, 0):
            h, w = self.used[i]
            by_w[i], by_b[i], g = h.T @ g, g.sum(axis=0), g @ w.T
            if self.q_w:
                by_w[i], by_step["w", i] = self.q_w[i].backward(by_w[i])
            if self.q_x:
                g, by_step["x", i] = self.q_x[i].backward(g)
            if i > 0:
                g = g * (self.relu_open(i))
        return loss, by_w, by_b, by_step

    def relu_open(self, i):
        """Where the ReLU before layer i let its input through."""
        h, w = self.used[i - 1]
        return (h @ w + self.b[i - 1]) > 0

    def accuracy(self, x, y):
        return np.mean((self.scores(x) > 0) == (y > 0.5))


def train_tiny(network, x, y, steps=600, rate=0.02, learn_steps=False):
    """Adam with a cosine schedule. Returns the losses."""
    parameters_ = [*network.W, *network.b]
    moments, losses = [[np.zeros_like(p), np.zeros_like(p)] for p in parameters_], []
    step_moments = {}
    for t in range(1, steps + 1):
        now = rate * 0.5 * (1 + math.cos(math.pi * t / steps))
        loss, by_w, by_b, by_step = network.gradients(x, y)
        losses.append(loss)
        for p, g, m in zip(parameters_, [*by_w, *by_b], moments):
            m[0][:], m[1][:] = 0.9 * m[0] + 0.1 * g, 0.99 * m[1] + 0.01 * g**2
            p -= now * (m[0] / (1 - 0.9**t)) / (np.sqrt(m[1] / (1 - 0.99**t)) + 1e-8)
        for key, g in by_step.items() if learn_steps else ():
            quantizer = (network.q_w if key[0] == "w" else network.q_x)[key[1]]
            a, b = step_moments.get(key, (0.0, 0.0))
            step_moments[key] = a, b = 0.9 * a + 0.1 * g, 0.99 * b + 0.01 * g**2
            relative = (a / (1 - 0.9**t)) / (math.sqrt(b / (1 - 0.99**t)) + 1e-8)
            quantizer.step *= math.exp(-now * relative)  # a step stays positive
    return losses


# The gradients, checked against differences of the loss (of the float network, whose loss is smooth).
x_moons, y_moons = moons(400, seed=1)
x_new, y_new = moons(2000, seed=2)
probe_net = Tiny(3)
_, by_w, _, _ = probe_net.gradients(x_moons, y_moons)
for i in range(3):
    up, down = probe_net.copy(), probe_net.copy()
    up.W[i][0, 0] += 1e-6
    down.W[i][0, 0] -= 1e-6
    numeric = (up.gradients(x_moons, y_moons)[0] - down.gradients(x_moons, y_moons)[0]) / 2e-6
    assert np.isclose(by_w[i][0, 0], numeric, rtol=1e-3, atol=1e-7)

# %% [markdown]
# Now four networks: float; the float one rounded to 2 bits (PTQ); trained on with STE and fixed steps; trained on with learned steps.

# %%
tiny = {"float": Tiny()}
losses = {"float": train_tiny(tiny["float"], x_moons, y_moons)}
tiny["PTQ, 2 bits"] = tiny["float"].quantized(x_moons)
for name, learn in (("QAT, fixed steps", False), ("QAT, learned steps", True)):
    tiny[name] = tiny["float"].quantized(x_moons)  # starts where PTQ ends
    losses[name] = train_tiny(tiny[name], x_moons, y_moons, learn_steps=learn)
rows = []
for name, network in tiny.items():
    hits = int(np.sum((network.scores(x_new) > 0) == (y_new > 0.5)))
    low, high = clopper_pearson(hits, len(y_new))
    rows.append({"network": name, "loss in training": f"{network.gradients(x_moons, y_moons)[0]:.4f}",
                 "accuracy [95 %]": f"{100 * hits / len(y_new):.1f} % [{100 * low:.1f}, {100 * high:.1f}]"})
table(rows, f"{len(y_new):,} new points")

# %% tags=["hidden"]
figure = plt.figure(figsize=(9.5, 5.6))
grid = figure.add_gridspec(2, 4, height_ratios=[1, 1])
panel = figure.add_subplot(grid[0, :])
for (name, curve), colour, style in zip(losses.items(), (GREY, ORANGE, GREEN), ("-", "-", "-")):
    panel.plot(curve, color=colour, lw=1.6, label=name)
start = tiny["PTQ, 2 bits"].gradients(x_moons, y_moons)[0]
panel.axhline(start, color=RED, lw=1.2, ls=":", label="PTQ, 2 bits (not trained)")
panel.set(xlabel="training step", ylabel="loss", yscale="log", title="The loss of the rounded network falls, although it is all stairs")
panel.legend(ncols=2, fontsize=9.5, loc="upper right")
xx, yy = np.meshgrid(np.linspace(-2.2, 2.2, 160), np.linspace(-1.5, 1.5, 120))
for column, (name, network) in enumerate(tiny.items()):
    panel = figure.add_subplot(grid[1, column])
    score = network.scores(np.stack([xx.ravel(), yy.ravel()], axis=1)).reshape(xx.shape)
    panel.contourf(xx, yy, score > 0, levels=[-0.5, 0.5, 1.5], colors=["#fbe3c0", "#c5e3f6"])
    for side, colour, marker in ((0, "#b3541e", "o"), (1, BLUE, "^")):
        panel.scatter(*x_moons[y_moons == side].T, s=5, color=colour, marker=marker, lw=0)
    panel.set(title=name, xticks=[], yticks=[], aspect="equal")
    panel.title.set_fontsize(10)
    panel.grid(visible=False)
plt.show()

# %% [markdown]
# Four values per weight are enough for this problem, *if* the network may choose which four and how to use them. Rounding afterwards
# finds no such solution; training finds it, in spite of gradients that are, strictly speaking, wrong.
#
# ## With Nibble
#
# The same on our digits, at 2 bits, where PTQ lost most. `nibble.qat` starts from the float network, rounds everything as `quantize`
# would, and trains with STE and learned steps. The float network serves as a teacher too: below 8 bits half of the loss comes from
# its answers (distillation). What it trains is what it exports: the file holds the codes that the last forward pass used.

# %%
started = time.perf_counter()
aware = nibble.qat(model, "digits", weights=2, activations=2, seed=0, progress=False)
seconds = time.perf_counter() - started
qat2 = aware.model
qat2.save(FILES / "qat-w2a2.onnx")
score_table({"float": model, "PTQ, 2 bits": ptq[2], "QAT, 2 bits": qat2})
say(f"{len(aware.history)} epochs in {seconds:.1f} s. The scores of the QAT network have "
    f"{sqnr(real['logits'], nibble.Session(qat2).run(None, {'input': X_test})[0]):.1f} dB against those of the float network: it is "
    "*another* network with the same answers, so SQNR against float has ceased to be a measure of its quality.")

# %% tags=["hidden"]
figure, axes = new_picture(9.5, 3.3, columns=2)
epochs = range(1, len(aware.history) + 1)
axes[0].plot(epochs, [e["train_loss"] for e in aware.history], color=BLUE, marker="o", ms=3.5, lw=1.8)
axes[0].set(xlabel="epoch", ylabel="training loss", title="QAT at 2 bits: loss", ylim=(0, None))
axes[1].plot(epochs, [100 * e["validation_accuracy"] for e in aware.history], color=GREEN, marker="o", ms=3.5, lw=1.8)
count = aware.history[0]["validation_samples"]
best = max(e["validation_accuracy"] for e in aware.history)
low, high = clopper_pearson(round(best * count), count)
axes[1].axhspan(100 * low, 100 * high, color=GREEN, alpha=0.12, lw=0)
axes[1].text(epochs[-1], 100 * low + 0.1, "95 % interval of the best epoch", ha="right", fontsize=9.5)
axes[1].set(xlabel="epoch", ylabel="accuracy in %", title=f"Accuracy on {count} validation samples")
plt.show()

# %% [markdown]
# And what became of the steps and the codes? Compare the file of PTQ with that of QAT:

# %%
before, after = parameters(ptq[2]), parameters(qat2)
rows = []
for name in ("block2.conv", "block3.conv", "fc1"):
    ratio = after[f"{name}.weight_scale"] / before[f"{name}.weight_scale"]
    changed = np.mean(after[f"{name}.weight_quantized"] != before[f"{name}.weight_quantized"])
    rows.append({"layer": name, "step, QAT / PTQ (median)": f"{np.median(ratio):.2f}",
                 "smallest to largest": f"{ratio.min():.2f} to {ratio.max():.2f}", "codes that changed": f"{100 * changed:.0f} %"})
table(rows)

# %% [markdown]
# ## Exercise
#
# The straight-through estimator stops the gradient of clipped values (`inside`). What if it lets *all* gradients pass? Derive a
# quantizer from `FakeQuantizer` that does, train the tiny network with it (fixed steps), and compare loss and accuracy on new points
# over five seeds of the starting network. What do you think happens to a weight that is clipped?

# %%
# Your turn.

# %% tags=["solution"]
class AllThrough(FakeQuantizer):
    def backward(self, gradient):
        return gradient, FakeQuantizer.backward(self, gradient)[1]


for name, kind in (("stops clipped values", FakeQuantizer), ("lets all pass", AllThrough)):
    results = []
    for seed in range(5):
        network = Tiny(seed)
        train_tiny(network, x_moons, y_moons, steps=300)
        network = network.quantized(x_moons)
        for quantizer in [*network.q_w, *network.q_x]:
            quantizer.__class__ = kind
        loss = train_tiny(network, x_moons, y_moons, steps=300)[-1]
        farthest = max(np.abs(w / q.step).max() for w, q in zip(network.W, network.q_w))
        results.append((loss, network.accuracy(x_new, y_new), farthest))
    loss, accuracy, farthest = np.median(results, axis=0)
    print(f"{name:20}: median loss {loss:.4f}, accuracy {100 * accuracy:.1f} %, farthest weight {farthest:.1f} steps from zero")
# A clipped weight that still gets gradients walks on although nothing changes, beyond the last code (-2), and to come back it has
# to walk all the way; with the gradient stopped it stays near the edge. On a problem as small as this the loss hardly cares.
