# %% [markdown]
# <a id="10"></a>
# # 10 Your own data and your own model
#
# ## The idea
#
# You know all the steps. What is left is the order in which to take them, and the discipline to stop when it is good enough:
#
# 1. **Fix the yardstick first**: test samples, a metric, and the loss that you can accept ("at most one point, with 95 % certainty").
# 2. **Check the preprocessing.** A mistake here can cost more than any quantization, as you will see below.
# 3. **8 bits, PTQ.** Most often you are done.
# 4. **4 bits for the weights**, with mixed bits where some layers are delicate. (Steps 3 and 4 by one command: `max_drop=1`, chapter 6.)
# 5. **QAT**, or QAFT if there is no float model, when PTQ loses more than you can accept.
# 6. **Measure the latency where it will run**, and ship the file.
#
# ## By hand
#
# ### Preprocessing
#
# From a decoded picture to the input of the network: resize, bytes to reals, channels to the front. We draw some pictures, so that
# this chapter needs no photographs: rings and crosses, of any colour, size and place. `FOLDER` may be any folder of yours with
# `train/CLASS/*.jpg` (or `.png`) and `test/CLASS/...` for two classes; then everything below runs on *your* pictures.

# %%
FOLDER = os.environ.get("NIBBLE_TUTORIAL_FOLDER")  # or write here: FOLDER = "my-pictures"
SIDE = 40  # pixels; more is better and slower


def draw_pictures(folder, count, seed):
    """PNG files of rings and crosses of different sizes, colours and places."""
    from PIL import Image, ImageDraw

    random = np.random.default_rng(seed)
    for kind in ("cross", "ring"):
        (folder / kind).mkdir(parents=True, exist_ok=True)
        for number in range(count):
            side = int(random.integers(70, 110))
            picture = Image.fromarray(random.integers(0, 90, (side, side, 3), dtype=np.uint8) + np.uint8(random.integers(0, 60)))
            pen, radius = ImageDraw.Draw(picture), side * random.uniform(0.2, 0.36)
            x, y = random.uniform(radius, side - radius, 2)
            colour = tuple(int(c) for c in random.integers(110, 255, 3))
            if kind == "ring":
                pen.ellipse([x - radius, y - radius, x + radius, y + radius], outline=colour, width=int(radius / 3))
            else:
                turn = random.uniform(0, np.pi)
                for angle in (turn, turn + np.pi / 2):
                    dx, dy = radius * np.cos(angle), radius * np.sin(angle)
                    pen.line([x - dx, y - dy, x + dx, y + dy], fill=colour, width=int(radius / 3))
            picture.save(folder / kind / f"{number:03}.png")


if FOLDER is None:
    drawn = FILES / "rings-and-crosses"
    if not drawn.exists():
        draw_pictures(drawn / "train", 60, seed=1)
        draw_pictures(drawn / "test", 100, seed=2)
folder = Path(FOLDER or drawn)
preprocess = {"resize_height": SIDE, "resize_width": SIDE, "color": "rgb"}
pictures = nibble.dataset(str(folder), split="test", preprocess=preprocess)
inputs, kinds = pictures.arrays()["input"], pictures.arrays()["label"]
say(f"{len(pictures)} test pictures of {len(pictures.class_names)} classes ({', '.join(pictures.class_names)}), as arrays of shape "
    f"{inputs.shape[1:]} between {inputs.min():.2f} and {inputs.max():.2f}.")


# %%
def prepare_by_hand(path):
    """What Nibble does with a picture file: resize (bilinear, antialiased), bytes / 255, channels first."""
    from PIL import Image

    resized = Image.open(path).convert("RGB").resize((SIDE, SIDE), Image.Resampling.BILINEAR)
    return np.asarray(resized, np.float32).transpose(2, 0, 1) / 255


files_of_class = sorted((folder / "test" / pictures.class_names[0]).iterdir())
by_hand = prepare_by_hand(files_of_class[0])
nearest = min(np.abs(picture - by_hand).max() for picture in inputs[kinds == 0])
assert nearest <= 1.01 / 255  # the same picture, up to one step of a byte
print(f"largest difference to Nibble's preprocessing: {255 * nearest:.2f} steps of a byte")

# %% [markdown]
# ## The picture

# %% tags=["hidden"]
if FOLDER is None:  # pictures of yours are yours: they are not put into a notebook that might be passed on
    figure, axes = new_picture(9.3, 1.9, rows=2, columns=10)
    for panel, index in zip(axes.flat, np.random.default_rng(4).permutation(len(inputs))):
        panel.imshow(inputs[index].transpose(1, 2, 0))
        panel.axis("off")
    plt.show()
else:
    say("The pictures are yours, and are not shown.")

# %% [markdown]
# ## With Nibble
#
# ### From a folder of pictures to a small network
#
# The architecture `catdog-cnn` (four convolutions, two dense layers, one output between 0 and 1) is that of a well-known tutorial on
# telling cats from dogs. The same seven lines work for your folder: train, quantize, train quantized, judge.

# %%
started = time.perf_counter()
settings = dict(optimizer="adamw", learning_rate=0.001, batch=16, flip=True, seed=0, progress=False)
picture_net = nibble.train("catdog-cnn", str(folder), preprocess=preprocess, epochs=8, **settings).model
small = {"float": picture_net}
for name, (w, a) in (("PTQ W8 A8", (8, 8)), ("PTQ W4 A4", (4, 4)), ("PTQ W2 A4", (2, 4))):
    small[name] = nibble.quantize(picture_net, str(folder), weights=w, activations=a, progress=False)
small["QAT W2 A4"] = nibble.qat(picture_net, str(folder), weights=2, activations=4, epochs=3, seed=0, progress=False).model
score_table(small, str(folder), f"{len(pictures)} test pictures")
say(f"All of it in {time.perf_counter() - started:.0f} s. With {len(pictures)} test pictures the intervals are wide. They are as honest as "
    "they are wide: to see a difference of one point, you need thousands.")

# %% [markdown]
# And now a classic mistake: the same networks, the same pictures, but someone forgot a step of the preprocessing. A float network
# sometimes forgives that. A quantized one does not: its rulers end where the calibration data ended, and what lies beyond is clipped.
# (Nibble writes the preprocessing into the file, so that it need not be remembered.)

# %%
wrong = {"as trained": inputs, "red and blue exchanged": inputs[:, ::-1], "forgot to divide by 255": inputs * 255,
         "pixels from -1 to 1": inputs * 2 - 1}
rows = []
for name, values in wrong.items():
    row = {"preprocessing": name}
    for network in ("float", "PTQ W8 A8"):
        session = nibble.Session(small[network])
        scores = session.run(None, {session.get_inputs()[0].name: np.ascontiguousarray(values, np.float32)})[0].ravel()
        hits = int(np.sum((scores > 0.5) == (kinds == 1)))
        low, high = clopper_pearson(hits, len(kinds))
        row[f"{network} [95 %]"] = f"{100 * hits / len(kinds):.1f} % [{100 * low:.1f}, {100 * high:.1f}]"
    rows.append(row)
table(rows, f"Accuracy on {len(kinds)} test pictures")
print(picture_net.metadata["nibble.preprocess"])

# %% [markdown]
# ### Cats and dogs
#
# The real thing takes hours on two cores, so a script does it in the background, `tutorial/cats_and_dogs.py`: it trains `catdog-cnn`
# on photographs of 150 x 150 pixels, quantizes, trains and fine-tunes at 8 and at 4 bits, measures, and writes a results file with
# every command line. It may be stopped at any time and goes on from its checkpoints. This notebook only reads that file.

# %%
results_file = Path("cats_and_dogs.json")
cats = json.loads(results_file.read_text()) if results_file.exists() else None
if cats is None:
    say("There is no `cats_and_dogs.json` beside this notebook yet. Make it with `tutorial/cats_and_dogs.py DATA`, where DATA is a folder "
        "of photographs, and run this cell again.")
else:
    origin = cats["provenance"]
    hours = sum(step["seconds"] for step in cats["steps"].values()) / 3600
    counts = "; ".join(f"{part}: " + ", ".join(f"{many:,} {kind}" for kind, many in kinds_.items())
                       for part, kinds_ in origin["data"].items())
    say(f"Made with {origin['version']} on {origin['date']}: {origin['cpu']}, {origin['cores']} cores, seed {origin['seed']}, training in "
        f"{hours:.1f} hours ({counts}).")
    rows = []
    speed_of = {entry["model"]: entry for entry in cats["speed"]["answer"]["models"]}
    for entry in cats["judged"]["from float"]["answer"]["models"]:
        name, paired = entry["model"], entry.get("paired")
        low, high = (100 * end for end in entry["interval_95"])
        rows.append({"network": name.removesuffix(".onnx"), "file": f"{speed_of[name]['file_bytes'] / 2**20:.2f} MiB",
                     "accuracy [95 %]": f"{100 * entry['accuracy']:.1f} % [{low:.1f}, {high:.1f}]",
                     "difference from float [95 %]": "" if not paired else
                     f"{100 * paired['difference']:+.1f} [{100 * paired['interval_95'][0]:+.1f}, {100 * paired['interval_95'][1]:+.1f}]",
                     "median latency, 1 thread": f"{1e3 * speed_of[name]['latencies'][0]['median_s']:.1f} ms"})
    table(rows, f"{cats['judged']['from float']['answer']['models'][0]['samples']} test pictures")
    for entry in cats["judged"]["from ptq-w4a4"]["answer"]["models"][1:]:
        d = entry["paired"]
        say(f"`{entry['model'].removesuffix('.onnx')}` against `ptq-w4a4`, on the same pictures: {100 * d['difference']:+.1f} "
            f"[{100 * d['interval_95'][0]:+.1f}, {100 * d['interval_95'][1]:+.1f}] points, p = {d['p_value']:.2g}.")

# %% tags=["hidden"]
if cats is not None:
    figure, axes = new_picture(9.5, 3.6, columns=2, gridspec_kw={"width_ratios": [1.2, 1]})
    for entry in cats["judged"]["from float"]["answer"]["models"]:
        name = entry["model"].removesuffix(".onnx")
        colour = INK if name == "float" else {"ptq": RED, "qat": GREEN, "qaft": BLUE}[name.split("-")[0]]
        place = speed_of[entry["model"]]["file_bytes"] / 2**20 * {"ptq": 0.97, "qat": 1.03, "qaft": 1.09}.get(name.split("-")[0], 1)
        low, high = (100 * end for end in entry["interval_95"])
        axes[0].plot([place, place], [low, high], color=colour, lw=2.5, alpha=0.5)
        axes[0].plot(place, 100 * entry["accuracy"], "o", color=colour, ms=7)
    for name, colour in (("float", INK), ("PTQ", RED), ("QAT", GREEN), ("QAFT", BLUE)):
        axes[0].plot([], [], "o", color=colour, label=name)
    axes[0].set(xscale="log", xlabel="size of the file in MiB", ylabel="accuracy in %", title="Size and accuracy, 95 % intervals",
                xticks=[1, 2, 4, 8], xticklabels=[1, 2, 4, 8])
    axes[0].minorticks_off()
    axes[0].legend(loc="best", fontsize=9.5)
    for name, colour in (("float", GREY), ("qat-w4a4", GREEN), ("qaft-w4a4", BLUE)):
        history = cats["steps"][name]["answer"]["epochs"]
        axes[1].plot(range(1, len(history) + 1), [100 * epoch["validation_accuracy"] for epoch in history], color=colour, marker="o",
                     ms=3.5, lw=1.8, label=name)
    axes[1].set(xlabel="epoch", ylabel="accuracy in %", title="Validation accuracy")
    axes[1].legend(loc="lower right", fontsize=9.5)
    axes[1].xaxis.get_major_locator().set_params(integer=True)
    plt.show()

# %% [markdown]
# ### A template to take home
#
# Everything in one function. It takes a model, data and the loss that you accept, goes down the list from the beginning of this chapter,
# and stops at the first network that is *proved* good enough: the lower end of the 95 % interval of the paired difference must be above
# the loss you accept. It decides on the validation samples; the test samples are for the last line alone.

# %%
def shrink(model, data, accept=-0.02, train_too=True):
    """Tries smaller and smaller networks; returns the smallest whose loss is surely no worse than `accept`."""
    tries = [("W8 A8", dict()), ("W4 A8", dict(weights=4)), ("W4 A4", dict(weights=4, activations=4)),
             ("W3 A4", dict(weights=3, activations=4)), ("W2 A4", dict(weights=2, activations=4))]
    best, rows = ("float", model), []
    for name, bits in tries:
        for how in ("PTQ", "QAT") if train_too else ("PTQ",):
            made = (nibble.quantize(model, data, progress=False, **bits) if how == "PTQ" else
                    nibble.qat(model, data, epochs=6, seed=0, progress=False, **bits).model)
            d = nibble.evaluate([model, made], data, split="validation", progress=False)[1].difference
            good = d.low >= accept
            rows.append({"network": f"{how} {name}", "file": f"{made.size / 1e3:.1f} kB",
                         "difference on validation samples [95 %]": f"{100 * d.value:+.1f} [{100 * d.low:+.1f}, {100 * d.high:+.1f}] points",
                         "good enough": "yes" if good else "no"})
            if good:
                best = (f"{how} {name}", made)
                break  # no need to train what is good already
        if not good:
            break
    table(rows, f"Accepted loss: {100 * accept:+.1f} points")
    return best


name, smallest = shrink(model, "digits")
score_table({"float": model, name: smallest}, caption=f"The last word: {len(X_test)} test samples")
_ = smallest.save(FILES / "smallest.onnx")

# %% [markdown]
# For your own model replace `model` by the path of an ONNX file (or a PyTorch module: `nibble.load(module, example_inputs=...)`) and
# `"digits"` by your data: a folder of pictures, arrays `(X, y)`, a `DataLoader`. [docs/data.md](../docs/data.md) lists the forms.
# Without labels nothing changes but the yardstick: `nibble.evaluate` then says how near the outputs are to those of the float network.
# And if you prefer a project with settings, steps, tests and CI to a notebook, `nibble new my-project --model model.onnx --data photos`
# makes one.
#
# ## Exercise
#
# Accuracy is not always what matters. Write a metric of your own: the *margin*, the score of the right class minus the best score of
# any other class. `nibble.evaluate(models, data, metric=function)` calls your function with the scores of one sample, shape [1, 10],
# and its label. Compare float, 4 bits and 2 bits (PTQ). What does the margin see that accuracy did not?

# %%
# Your turn.

# %% tags=["solution"]
def margin(scores, label):
    scores = scores[0]
    return scores[label] - np.max(np.delete(scores, label))


for row in nibble.evaluate({"float": model, "4 bits": small4, "2 bits": ptq[2]}, "digits", metric=margin, progress=False):
    d = row.difference
    print(f"{row.model:7} margin {row.value:5.2f} [{row.low:.2f}, {row.high:.2f}]" +
          (f", {d.value:+.2f} [{d.low:+.2f}, {d.high:+.2f}] against float" if d else ""))
# Accuracy could not tell 4 bits from float. The margin can: the interval of the difference is narrow, because every sample counts, not
# only the few that change their class.

# %% [markdown]
# ---
#
# **Where to go from here.** [docs/numeric-contract.md](../docs/numeric-contract.md) derives the integer arithmetic on a small network,
# [docs/judging.md](../docs/judging.md) says how to judge detectors, sound and text, [docs/architecture.md](../docs/architecture.md) how
# Nibble works inside. The papers named in this lecture: Horowitz 2014 (energy), Jacob et al. 2018, arXiv:1712.05877 (integer arithmetic),
# Nagel et al. 2019, arXiv:1906.04721 (equalization, bias correction), Esser et al. 2020, arXiv:1902.08153 (learned steps), Frantar et
# al. 2022, arXiv:2210.17323 (GPTQ).
