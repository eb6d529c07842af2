#!/usr/bin/env python3
"""Word error rate of a speech recognizer, as a program for `nibble eval --score`.

    nibble eval float.onnx small.onnx --data clips/ \\
        --score "python3 word_error_rate.py transcripts.txt --logits logits --alphabet alphabet.txt"

transcripts.txt has a line for each sample, in the order of the samples (or "FILE<tab>TEXT" lines in any order); alphabet.txt a line for each
column of the output --logits [T,C], the first of which is CTC's blank (--blank N for another); a line that is empty or a single space stands for the
space between words. Decoding is greedy (A. Graves et al., "Connectionist Temporal Classification", 2006): the best column of each step, repeats joined,
blanks dropped. The rate is that of a whole set: its substitutions, insertions and deletions over its words. Needs NumPy.
"""
import argparse
import json
from pathlib import Path

import numpy as np


def edits(words, wanted):
    """Levenshtein's distance of two lists."""
    row = list(range(len(wanted) + 1))
    for i, word in enumerate(words, 1):
        diagonal, row[0] = row[0], i
        for j, other in enumerate(wanted, 1):
            diagonal, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, diagonal + (word != other))
    return row[-1]


def decode(logits, alphabet, blank):
    best = logits.reshape(-1, logits.shape[-1]).argmax(axis=1)
    steps = best[np.append(True, best[1:] != best[:-1])]
    return "".join(alphabet[step] for step in steps if step != blank)


def read_transcripts(path, files):
    lines = Path(path).read_text(encoding="utf-8").splitlines()
    if not all("\t" in line for line in lines):
        return lines
    by_file = dict(line.split("\t", 1) for line in lines)
    return [by_file[Path(file).name] for file in files]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("transcripts")
    parser.add_argument("folder", type=Path, help="given by nibble")
    parser.add_argument("--logits", default="logits")
    parser.add_argument("--alphabet", required=True)
    parser.add_argument("--blank", type=int, default=0)
    arguments = parser.parse_args()

    request = json.loads((arguments.folder / "request.json").read_text())
    counts = np.load(arguments.folder / "sets.npy").astype(float)
    alphabet = [line or " " for line in Path(arguments.alphabet).read_text(encoding="utf-8").split("\n")]
    transcripts = read_transcripts(arguments.transcripts, request.get("files", []))
    if len(transcripts) != counts.shape[1]:
        raise SystemExit(f"{arguments.transcripts} has {len(transcripts)} lines for {counts.shape[1]} samples")
    wrong, words = np.zeros(len(transcripts)), np.zeros(len(transcripts))
    for i, transcript in enumerate(transcripts):
        logits = np.load(arguments.folder / f"outputs/{i:06}.npz")[arguments.logits]
        wanted = transcript.split()
        wrong[i], words[i] = edits(decode(logits, alphabet, arguments.blank).split(), wanted), len(wanted)
    rates = np.divide(counts @ wrong, counts @ words, out=np.full(len(counts), np.nan), where=counts @ words > 0)
    print("\n".join(f"{rate:.9g}" for rate in rates))


if __name__ == "__main__":
    main()
