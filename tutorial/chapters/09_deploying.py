# %% [markdown]
# <a id="9"></a>
# # 9 Deploying
#
# ## The idea
#
# The result is an ONNX file, and not bound to the tool that made it. It runs wherever ONNX runs: in Nibble's own runtime, in ONNX
# Runtime, in OpenVINO. Three questions remain before it ships:
#
# - Does the *other* runtime give the same answers?
# - How *fast* is it there, measured properly?
# - How large is what has to be shipped: the file, and the code that runs it?
#
# ## By hand
#
# ### Measuring latency properly
#
# A latency is a distribution, not a number. Warm up first. Then let the candidates take *turns*, so that whatever else the machine
# does disturbs all of them alike. Report the median, and how bad the slow runs are (the 95th percentile).

# %%
def race(runners, rounds=400, warm_up=30):
    """Seconds of each call, by runner; the runners take turns."""
    times = {name: [] for name in runners}
    for turn in range(warm_up + rounds):
        for name, run in runners.items():
            start = time.perf_counter()
            run()
            if turn >= warm_up:
                times[name].append(time.perf_counter() - start)
    return times


def onnx_runtime_session(path):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = 1, 3
    session = onnxruntime.InferenceSession(str(path), options)
    return lambda x: session.run(None, {"input": x})[0]


def nibble_session(path):
    session = nibble.Session(path, threads=1)
    return lambda x: session.run(None, {"input": x})[0]


files = {"float": FILES / "float.onnx", "8 bits": FILES / "w8a8.onnx", "4 bits": FILES / "w4a4.onnx"}
runners = {}
for name, path in files.items():
    runners["Nibble", name] = nibble_session(path)
    runners["ONNX Runtime", name] = onnx_runtime_session(path)

# %% [markdown]
# OpenVINO is optional. For it, the model is written with `target="openvino"`, which avoids what OpenVINO does not have.

# %%
try:
    import openvino
except ImportError:
    say("OpenVINO is not installed here, so it takes no part. `pip install openvino` and run this cell again to add it.")
else:
    core = openvino.Core()

    def openvino_session(path):
        compiled = core.compile_model(str(path), "CPU", {"INFERENCE_NUM_THREADS": 1, "PERFORMANCE_HINT": "LATENCY"})
        return lambda x: compiled([x])[0]

    for name, network in (("float", model), ("8 bits", small8)):
        path = FILES / f"openvino-{name.replace(' ', '-')}.onnx"
        network.save(path, target="openvino")
        runners["OpenVINO", name] = openvino_session(path)
    say(f"OpenVINO {openvino.__version__.split('-')[0]} takes part.")

# %% [markdown]
# How large is what is shipped? The files, as each runtime reads them:

# %%
table([{"network": name, "file": f"{path.stat().st_size / 1e3:.1f} kB"} for name, path in files.items()])

# %% [markdown]
# ### The same answers?
#
# Before speed, correctness: the accuracy in each runtime, and on how many samples it chooses another class than Nibble does with the
# same file. (Chapter 5 showed why single codes may differ.)

# %%
answers = {key: run(X_test).argmax(1) for key, run in runners.items()}
rows = []
for (runtime, name), classes in answers.items():
    hits = int(np.sum(classes == y_test))
    low, high = clopper_pearson(hits, len(y_test))
    other = int(np.sum(classes != answers["Nibble", name]))
    assert other <= len(y_test) // 50  # the same network, up to single roundings
    rows.append({"runtime": runtime, "network": name,
                 "accuracy [95 %]": f"{100 * hits / len(y_test):.1f} % [{100 * low:.1f}, {100 * high:.1f}]",
                 "other class than in Nibble": f"{other} of {len(y_test)}"})
table(rows)

# %% [markdown]
# ### The race
#
# Within a runtime the networks take turns. The runtimes race one after the other: threads that stay awake for a while after a call, as
# those of some runtimes do, would disturb their competitors.

# %%
one, times = X_test[:1], {}
for runtime in dict.fromkeys(runtime for runtime, _ in runners):
    times |= race({key: (lambda run=run: run(one)) for key, run in runners.items() if key[0] == runtime})
if hasattr(os, "getloadavg"):
    load = os.getloadavg()[0]
    say(f"While it raced, {load:.1f} processes wanted to run on the {os.cpu_count()} cores of this machine" +
        (": others worked here too, so medians and slow runs are longer than on a quiet one." if load > os.cpu_count() else "."))

# %% tags=["hidden"]
figure, axes = new_picture(9.5, 0.42 * len(times) + 1.3)
by_runtime = {"Nibble": GREEN, "ONNX Runtime": BLUE, "OpenVINO": ORANGE}
keys = list(times)[::-1]
for row, key in enumerate(keys):
    micro = 1e6 * np.array(times[key])
    low, middle, high = np.quantile(micro, [0.05, 0.5, 0.95])
    axes.plot([low, high], [row, row], color=by_runtime[key[0]], lw=3, alpha=0.45, solid_capstyle="round")
    axes.plot(middle, row, "o", color=by_runtime[key[0]], ms=8)
    axes.text(high * 1.06, row, f"{middle:.0f} µs", va="center", fontsize=9.5)
axes.set(yticks=range(len(keys)), yticklabels=[f"{runtime}, {name}" for runtime, name in keys], xscale="log",
         xlabel="microseconds for one digit, one thread, called from Python (dot: median, bar: 5 to 95 %)",
         title="Latency of one call")
left, right = axes.get_xlim()
ticks = [t for t in (5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000) if left <= t <= right * 1.35]
axes.set(xlim=(left, right * 1.35), xticks=ticks, xticklabels=ticks)
axes.minorticks_off()
axes.grid(axis="y", visible=False)
plt.show()
median = {key: np.median(values) for key, values in times.items()}
say(f"In Nibble the 8-bit network takes {median['Nibble', 'float'] / median['Nibble', '8 bits']:.1f} times fewer microseconds than "
    f"the float one, in ONNX Runtime {median['ONNX Runtime', 'float'] / median['ONNX Runtime', '8 bits']:.1f} times. A network as small "
    "as this computes for a few microseconds; much of what you see is the cost of a call from Python. And 4 bits are smaller, not "
    "faster: on a CPU the kernels multiply bytes either way. (In a runtime without integer kernels for a pattern, a quantized network can "
    "even be slower than float. Always measure where it will run.)")

# %% [markdown]
# ## With Nibble
#
# `nibble.bench` is the same race without Python in the way, and with memory and file size beside it:

# %%
nibble.bench({"float": model, "8 bits": small8, "4 bits": small4, "2 bits (QAT)": qat2}, threads=(1,), seconds=0.5, progress=False)

# %% [markdown]
# ### Without Python: C++
#
# On a device there is often no Python. The library `nibble-runtime` reads and runs models and needs neither libtorch nor anything
# of training. This is a complete program; it is `examples/tutorial/chapter09_deploy.cpp`, and the tests compile and run it.

# %%
source = Path("../examples/tutorial/chapter09_deploy.cpp")
display(Markdown(f"```cpp\n{source.read_text()}```") if source.exists() else
        Markdown("The program comes with the source code of Nibble, in `examples/tutorial`."))

# %% [markdown]
# To build it, with Nibble installed in `PREFIX`:
#
# ```sh
# cmake -S examples/tutorial -B chapters -DCMAKE_PREFIX_PATH=PREFIX && cmake --build chapters
# ```
#
# `examples/tutorial` holds the other chapters as C++ programs, too: everything you did here with Nibble, you can do without Python.
#
# ## Exercise
#
# Our race sends one digit per call. Send 64 digits per call, and compute the *throughput* in digits per second. How does the gain of
# 8 bits change, and why?

# %%
# Your turn.

# %% tags=["solution"]
many = X_test[:64]
batch_times = race({key: (lambda run=run: run(many)) for key, run in runners.items() if key[1] != "4 bits"}, rounds=60)
for key, values in batch_times.items():
    print(f"{key[0]:12} {key[1]:6}: {len(many) / np.median(values):10,.0f} digits per second")
gain = np.median(batch_times["Nibble", "float"]) / np.median(batch_times["Nibble", "8 bits"])
print(f"In Nibble 8 bits are now {gain:.1f} times as fast as float: the cost of the call is shared by {len(many)} digits,")
print("and what is left is arithmetic.")
