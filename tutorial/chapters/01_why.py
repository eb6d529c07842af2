# %% [markdown]
# <a id="1"></a>
# # 1 Why fewer bits
#
# ## The idea
#
# A network computes *sums of products*. For each of them a weight has to be stored, brought to the processor, and
# multiplied. The number of bits is a factor in all three:
#
# - **Memory**: a weight of 32 bits takes 4 bytes; one of 4 bits takes half a byte.
# - **Bandwidth**: where each weight is used once, the processor waits for memory. Half the bytes, half the time.
# - **Arithmetic**: one vector instruction multiplies 16 numbers of 32 bits, or 64 of 8 bits.
# - **Energy**: multiplying small integers takes less of it, and fetching few bytes takes *much* less of it.
#
# ## A picture
#
# A 32-bit float spends 1 bit on the sign, 8 on the exponent and 23 on the digits, so that it can hold anything from
# $10^{-38}$ to $10^{38}$. A layer's weights use a tiny part of that range. An 8-bit integer has 256 values, all for us to
# place where the weights are. (How to place them is chapter 2.)

# %% tags=["hidden"]
formats = [("float32", 1, 8, 23), ("bfloat16", 1, 8, 7), ("float16", 1, 5, 10), ("int8", 1, 0, 7), ("int4", 1, 0, 3)]
figure, axes = new_picture(9.5, 2.9)
for row, (name, sign, exponent, digits) in enumerate(formats):
    left = 0
    for count, colour, what in ((sign, RED, "sign"), (exponent, ORANGE, "exponent"), (digits, BLUE, "digits")):
        for bit in range(count):
            axes.barh(-row, 0.86, left=left + bit, height=0.62, color=colour, label=what if row == 0 and bit == 0 else None)
        left += count
    per_line = 512 // (sign + exponent + digits)
    axes.text(-0.6, -row, name, ha="right", va="center", family="monospace")
    axes.text(33, -row, f"{per_line:>3} numbers in a cache line of 64 bytes", va="center", fontsize=10)
axes.set(xlim=(-5.5, 52), ylim=(-4.6, 0.9))
axes.axis("off")
axes.legend(loc="lower center", bbox_to_anchor=(0.47, 0.0), ncols=3, handlelength=0.9)
axes.set_title("One square is one bit")
plt.show()

# %% [markdown]
# ## By hand
#
# First, convince yourself that a float is nothing but three fields of bits. The function takes a number apart and puts it
# together again.

# %%
def take_apart(number):
    """The sign, the exponent and the digits of a 32-bit float, as the machine stores them."""
    bits = struct.unpack("<I", struct.pack("<f", number))[0]
    return bits >> 31, (bits >> 23) & 0xFF, bits & 0x7FFFFF


for number in (1.0, -0.15625, 6.0, 0.1):
    sign, exponent, digits = take_apart(number)
    again = (-1) ** sign * (1 + digits / 2**23) * 2.0 ** (exponent - 127)
    assert np.float32(again) == np.float32(number)
    print(f"{number:9}  =  {sign} {exponent:08b} {digits:023b}  =  (-1)^{sign} * {1 + digits / 2**23:.7f} * 2^{exponent - 127}")

# %% [markdown]
# Now bandwidth. We copy the same *number* of values in 32, 16 and 8 bits, far more than fit into the caches, and take the
# median of several rounds. (A mean would be spoilt by a single interruption, so this lecture always takes medians.)

# %%
def median_seconds(function, rounds=9):
    """The median time of a call, after one call to warm up."""
    function()
    times = []
    for _ in range(rounds):
        start = time.perf_counter()
        function()
        times.append(time.perf_counter() - start)
    return float(np.median(times))


count = 2**25
copying = []
for kind in (np.float32, np.float16, np.int8):
    source, target = np.ones(count, kind), np.zeros(count, kind)
    seconds = median_seconds(lambda: np.copyto(target, source))
    # Each byte is read once and written once.
    copying.append({"type": np.dtype(kind).name, "MiB": source.nbytes // 2**20, "ms": round(1e3 * seconds, 1),
                    "GB/s": round(2 * source.nbytes / seconds / 1e9, 1), "numbers/s": f"{count / seconds:.2e}"})
table(copying, f"Copying {count:,} numbers")
ratio = copying[0]["ms"] / copying[2]["ms"]
say(f"Bytes per second depend little on the type, so *numbers* per second depend on it a lot: 8-bit numbers move {ratio:.1f} "
    "times as fast as 32-bit ones.")

# %% [markdown]
# Energy we cannot measure here, so we quote. Mark Horowitz published what one operation costs in a 45 nm chip
# (*Computing's energy problem*, ISSCC 2014). Chips have become better since; the *ratios* are what matters.

# %% tags=["hidden"]
picojoules = {"add int8": 0.03, "add int32": 0.1, "add float32": 0.9, "multiply int8": 0.2, "multiply int32": 3.1,
              "multiply float32": 3.7, "read 8 bytes from an 8 KB cache": 10, "read 8 bytes from a 1 MB cache": 100,
              "read 8 bytes from DRAM": 1300}
figure, axes = new_picture(9, 3.3)
names = list(picojoules)[::-1]
colours = [GREEN if "int8" in name else BLUE if "read" not in name else ORANGE for name in names]
axes.barh(names, [picojoules[name] for name in names], color=colours, height=0.66)
for row, name in enumerate(names):
    axes.text(picojoules[name] * 1.15, row, f"{picojoules[name]:g}", va="center", fontsize=9.5)
axes.set(xscale="log", xlim=(0.01, 6000), xlabel="energy in picojoules (logarithmic)",
         title="Fetching a number costs far more than computing with it")
axes.grid(axis="y", visible=False)
plt.show()
say(f"A float multiplication takes {picojoules['multiply float32'] / picojoules['multiply int8']:.1f} times the energy of "
    f"one of 8-bit integers, and an 8-byte read from DRAM as much as "
    f"{picojoules['read 8 bytes from DRAM'] / picojoules['multiply float32']:.0f} float multiplications. Fewer bytes save "
    "the most. (DRAM: the lower end of the range that the paper gives.)")

# %% [markdown]
# ## With Nibble
#
# Finally the real thing: a network of two dense layers, once in float and once with 8-bit integers, timed side by side.
# We build it with the `onnx` package, so that you see that nothing is hidden in it: `y = Relu(x W1) W2`. (The calls of
# Nibble are explained in the chapters to come. For now, watch the clock.)

# %%
import onnx
from onnx import TensorProto, helper, numpy_helper


def dense_network(width, seed=0):
    random = np.random.default_rng(seed)
    weights = [random.normal(0, width**-0.5, (width, width)).astype(np.float32) for _ in range(2)]
    nodes = [helper.make_node("MatMul", ["x", "W1"], ["a"], "first"), helper.make_node("Relu", ["a"], ["b"], "relu"),
             helper.make_node("MatMul", ["b", "W2"], ["y"], "second")]
    info = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", width]) for name in "xy"]
    graph = helper.make_graph(nodes, "dense", [info[0]], [info[1]],
                              [numpy_helper.from_array(w, f"W{i + 1}") for i, w in enumerate(weights)])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)


width = 2048
dense = nibble.load(dense_network(width))
samples = np.random.default_rng(1).normal(0, 1, (64, width)).astype(np.float32)
dense8 = nibble.quantize(dense, samples, progress=False)

rows, speed = [], {}
for batch in (1, 64):
    measured = nibble.bench({"float": dense, "int8": dense8}, threads=(1,), batch=batch, seconds=1.0, progress=False)
    products = 2 * width * width * batch  # multiply-accumulates in one run
    for row in measured.rows:
        speed[row["model"], batch] = products / row["median_s"] / 1e9
        rows.append({"samples at a time": batch, "weights": row["model"], "file MB": round(row["file_bytes"] / 1e6, 1),
                     "median ms": f"{1e3 * row['median_s']:.3f}", "95 % of runs below": f"{1e3 * row['p95_s']:.3f} ms",
                     "GMAC/s": f"{speed[row['model'], batch]:.1f}"})
table(rows, f"Two dense layers of {width} x {width}, one thread (GMAC/s: billions of multiply-accumulates per second)")

# %% tags=["hidden"]
figure, axes = new_picture(8.5, 2.8)
labels = [f"{name}, {batch} sample{'s' if batch > 1 else ''}" for name, batch in speed]
axes.barh(labels[::-1], list(speed.values())[::-1], color=[GREEN, BLUE, GREEN, BLUE], height=0.62)
for row, value in enumerate(list(speed.values())[::-1]):
    axes.text(value, row, f"  {value:.0f}", va="center")
axes.set(xlabel="billions of multiply-accumulates per second, one thread", title="The same network, measured on this machine")
axes.grid(axis="y", visible=False)
plt.show()
say(f"With **one sample** at a time each weight is fetched for a single product: the float network waits for memory, and a "
    f"quarter of the bytes makes it {speed['int8', 1] / speed['float', 1]:.1f} times as fast (more than four where the "
    f"smaller weights fit into a cache and the larger ones do not). With **64 samples** each weight is used 64 times; now "
    f"arithmetic decides, and 8-bit instructions make it {speed['int8', 64] / speed['float', 64]:.1f} times as fast.")

# %% [markdown]
# ## Exercise
#
# A language model has 7 billion weights, and to write one word it reads each of them once. How many gigabytes are its
# weights at 32, 16, 8 and 4 bits, and how many words per second can this machine write *at most*, if the weights come
# through memory as fast as in the copying experiment above? (`copying[0]["GB/s"]` counts bytes read *and* written.)

# %%
# Your turn.

# %% tags=["solution"]
weights = 7e9
gigabytes_per_second = copying[0]["GB/s"] / 2  # of reading alone, at least
for bits in (32, 16, 8, 4):
    gigabytes = weights * bits / 8 / 1e9
    print(f"{bits:2} bits: {gigabytes:4.1f} GB, at most {gigabytes_per_second / gigabytes:5.2f} words per second")
