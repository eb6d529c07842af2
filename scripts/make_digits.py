#!/usr/bin/env python3
"""Makes data/digits.bin from the copy of the UCI handwritten digits in scikit-learn.

usage: make_digits.py [digits.csv.gz] [-o data/digits.bin]

With no path, the file comes from an installed scikit-learn (Debian: python3-sklearn). The CSV has
one line per sample: 64 pixels of 0..16, row by row, then the digit.

Format written: 1,797 records of 41 bytes. Byte 0 is the digit; the other 40 hold the 64 pixels as
5-bit numbers, first pixel in the lowest bits of the first byte. Only the standard library is used.
"""
import argparse
import gzip
import importlib.util
import pathlib
import sys

SAMPLES, PIXELS = 1797, 64


def installed_path():
    spec = importlib.util.find_spec("sklearn")
    if spec is None:
        sys.exit("make_digits.py: scikit-learn is not installed; give the path of digits.csv.gz")
    return pathlib.Path(spec.submodule_search_locations[0], "datasets", "data", "digits.csv.gz")


def record(line):
    *pixels, digit = (int(float(field)) for field in line.split(","))
    if len(pixels) != PIXELS or not all(0 <= p <= 16 for p in pixels) or not 0 <= digit <= 9:
        sys.exit(f"make_digits.py: not a sample of 64 pixels and a digit: {line.strip()[:80]}")
    packed = sum(pixel << (5 * i) for i, pixel in enumerate(pixels))
    return bytes([digit]) + packed.to_bytes(PIXELS * 5 // 8, "little")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("csv", nargs="?", type=pathlib.Path)
    default = pathlib.Path(__file__).resolve().parent.parent / "data" / "digits.bin"
    parser.add_argument("-o", "--output", type=pathlib.Path, default=default)
    options = parser.parse_args()
    with gzip.open(options.csv or installed_path(), "rt", encoding="ascii") as lines:
        records = [record(line) for line in lines if line.strip()]
    if len(records) != SAMPLES:
        sys.exit(f"make_digits.py: {len(records)} samples, expected {SAMPLES}")
    options.output.write_bytes(b"".join(records))
    print(f"{options.output}: {len(records)} samples, {options.output.stat().st_size} bytes")


if __name__ == "__main__":
    main()
