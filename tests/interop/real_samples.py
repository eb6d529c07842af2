#!/usr/bin/env python3
"""Makes samples for the models in SHARED/models out of SHARED/data, as their users would preprocess them.

usage: real_samples.py SHARED FOLDER      (needs numpy and pillow; espeak-ng for speech)

FOLDER/NAME.npz for ultraface-rfb-320, fastestdet, squeezenet1.1 (ImageNet photographs), mnist-8 (Fashion-MNIST),
silero-vad-16k and dtln-1 (speech and noise, frame by frame): arrays [samples, ...] by input name.
"""
import gzip
import io
import subprocess
import sys
import tarfile
import wave
from pathlib import Path

import numpy as np
from PIL import Image

TEXT = ("The quick brown fox jumps over the lazy dog. How much wood would a woodchuck chuck? "
        "She sells sea shells by the sea shore, and he counts them twice a day.")


def photographs(shared, count):
    with tarfile.open(shared / "data/imagenet-sample.tar.gz") as archive:
        names = sorted(m.name for m in archive.getmembers() if m.name.lower().endswith((".jpg", ".jpeg")))
        step = len(names) // count
        for name in names[::step][:count]:
            yield Image.open(io.BytesIO(archive.extractfile(name).read())).convert("RGB")


def images(shared, count, width, height, bgr, mean, scale):
    rows = []
    for picture in photographs(shared, count):
        pixels = np.asarray(picture.resize((width, height), Image.BILINEAR), np.float32)
        pixels = pixels[..., ::-1] if bgr else pixels
        rows.append(((pixels - np.float32(mean)) * np.float32(scale)).transpose(2, 0, 1))
    return np.stack(rows).astype(np.float32)


def spoken(words_per_minute, rate):
    try:
        sound = subprocess.run(["espeak-ng", "-s", str(words_per_minute), "--stdout", TEXT], capture_output=True,
                               check=True).stdout
    except (OSError, subprocess.CalledProcessError) as error:
        sys.exit(f"real_samples: speech is made with espeak-ng, which does not run: {error}")
    # espeak-ng writes to a pipe before it knows the length, so the header's number of frames means nothing.
    with wave.open(io.BytesIO(sound)) as file:
        own_rate, start = file.getframerate(), 44
    samples = np.frombuffer(sound[start:start + (len(sound) - start) // 2 * 2], "<i2").astype(np.float32) / 32768
    at = np.arange(0, len(samples) - 1, own_rate / rate)
    return np.interp(at, np.arange(len(samples)), samples).astype(np.float32)


def speech(rate):
    """Twice, fast and slow: a sentence with pauses, the same in noise, noise. f32 in [-1, 1]."""
    rng = np.random.default_rng(0)
    pause, parts = np.zeros(rate // 2, np.float32), []
    for words_per_minute in (175, 130):
        voice = np.concatenate([pause, spoken(words_per_minute, rate), pause])
        noise = rng.normal(0, 0.03, len(voice)).astype(np.float32)
        parts += [voice, voice + noise, noise]
    return np.concatenate(parts)


def frames(sound, length, hop):
    count = (len(sound) - length) // hop + 1
    return np.stack([sound[i * hop:i * hop + length] for i in range(count)])


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    shared, folder = Path(sys.argv[1]), Path(sys.argv[2])
    folder.mkdir(parents=True, exist_ok=True)
    sound = speech(16000)
    # Silero: 512 samples, behind the last 64 of the frame before.
    np.savez(folder / "silero-vad-16k.npz", input=frames(sound, 576, 512), sr=np.int64(16000))
    spectrum = np.abs(np.fft.rfft(frames(sound, 512, 128), axis=1)).astype(np.float32)
    np.savez(folder / "dtln-1.npz", input_2=spectrum[:, None, None, :][:, 0])
    np.savez(folder / "ultraface-rfb-320.npz", input=images(shared, 100, 320, 240, False, 127, 1 / 128))
    np.savez(folder / "fastestdet.npz", **{"input.1": images(shared, 100, 352, 352, True, 0, 1 / 255)})
    np.savez(folder / "squeezenet1.1.npz", data_0=images(shared, 100, 224, 224, True, (104, 117, 123), 1))
    with gzip.open(next((shared / "data/fashion-mnist").glob("t10k-images*"))) as file:
        pixels = np.frombuffer(file.read(), np.uint8, offset=16).reshape(-1, 1, 28, 28)
    np.savez(folder / "mnist-8.npz", Input3=pixels[:200].astype(np.float32))


if __name__ == "__main__":
    main()
