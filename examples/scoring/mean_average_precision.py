#!/usr/bin/env python3
"""Mean average precision of a detector, as a program for `nibble eval --score`.

    nibble eval float.onnx small.onnx --data images/ \\
        --score "python3 mean_average_precision.py annotations.json --boxes boxes --scores scores --iou 0.5"

annotations.json is in COCO's form: "images" with "file_name", "id", "width", "height", and "annotations" with "image_id",
"category_id" and "bbox" [x, y, width, height] in pixels. The model's output --boxes is [N,4], corners x1, y1, x2, y2, as shares of the
picture's width and height (or, with --size HxW, in pixels of the model's input); --scores is [N,C], a column for each category in the order of their
ids, or [N,C+1] with --background saying which column is none of them. Needs NumPy.

Average precision as COCO measures it (T.-Y. Lin et al., "Microsoft COCO", 2014): greedy matching by score, precision made
monotone, mean over 101 recalls; then the mean over categories and over the thresholds of --iou. Each sample is matched once; a set
that holds it twice counts its detections twice, so thousands of sets cost little.
"""
import argparse
import json
from pathlib import Path

import numpy as np

RECALLS = np.linspace(0, 1, 101)


def overlap(a, b):
    """Intersection over union of boxes [n,4] and [m,4] (corners): [n,m]."""
    low = np.maximum(a[:, None, :2], b[None, :, :2])
    high = np.minimum(a[:, None, 2:], b[None, :, 2:])
    shared = np.prod(np.clip(high - low, 0, None), axis=2)
    areas = [np.prod(np.clip(x[:, 2:] - x[:, :2], 0, None), axis=1) for x in (a, b)]
    union = areas[0][:, None] + areas[1][None, :] - shared
    return np.divide(shared, union, out=np.zeros_like(shared), where=union > 0)


def suppress(boxes, scores, iou):
    """Non-maximum suppression: the rows to keep, best first."""
    order, kept = np.argsort(-scores, kind="stable"), []
    while order.size:
        kept.append(order[0])
        order = order[1:][overlap(boxes[order[:1]], boxes[order[1:]])[0] <= iou]
    return np.array(kept, dtype=int)


def match(boxes, truth, iou):
    """Which detections, best first, find an object that none before them found."""
    overlaps, free = overlap(boxes, truth), np.ones(len(truth), bool)
    found = np.zeros(len(boxes), bool)
    for i in range(len(boxes)):
        candidates = np.where(free, overlaps[i], -1)
        if candidates.size and candidates.max() >= iou:
            free[candidates.argmax()] = False
            found[i] = True
    return found


def average_precision(found, scores, samples, objects, counts):
    """For each row of counts [sets, samples]; found, scores, samples: a number for each detection; objects: for each sample.
    NaN for a set without objects."""
    order = np.argsort(-scores, kind="stable")
    found, samples = found[order], samples[order]
    total = counts @ objects
    result = np.full(len(counts), np.nan)
    for row, weights in enumerate(counts[:, samples] if len(samples) else [np.zeros(0)] * len(counts)):
        if total[row] == 0:
            continue
        hits = np.cumsum(weights * found)
        precision = np.divide(hits, np.cumsum(weights), out=np.zeros(len(hits)), where=hits > 0)
        envelope = np.maximum.accumulate(precision[::-1])[::-1]
        at = np.searchsorted(hits / total[row], RECALLS, side="left")
        result[row] = np.where(at < len(hits), np.append(envelope, 0)[np.minimum(at, len(hits))], 0).mean()
    return result


def read_truth(path, files):
    """For each file, its size and its boxes (corners in pixels) by category; and the categories' ids in order."""
    coco = json.loads(Path(path).read_text())
    images = {Path(image["file_name"]).name: image for image in coco["images"]}
    by_image = {image["id"]: {} for image in coco["images"]}
    for note in coco["annotations"]:
        x, y, width, height = note["bbox"]
        by_image[note["image_id"]].setdefault(note["category_id"], []).append([x, y, x + width, y + height])
    ids = {category["id"] for category in coco.get("categories", [])} | {n["category_id"] for n in coco["annotations"]}
    truth = []
    for file in files:
        image = images.get(Path(file).name)
        if image is None:
            raise SystemExit(f"{path} has no image called {Path(file).name}")
        truth.append(((image["width"], image["height"]), by_image[image["id"]]))
    return truth, sorted(ids)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("annotations")
    parser.add_argument("folder", type=Path, help="given by nibble")
    parser.add_argument("--boxes", default="boxes")
    parser.add_argument("--scores", default="scores")
    parser.add_argument("--background", type=int)
    parser.add_argument("--size", help="HxW: the boxes are in pixels of a model's input of that size")
    parser.add_argument("--iou", default=",".join(f"{0.5 + 0.05 * i:.2f}" for i in range(10)), help="thresholds, with commas")
    parser.add_argument("--nms", type=float, help="suppress boxes that overlap a better one by more than this")
    parser.add_argument("--least-score", type=float, default=0.05)
    arguments = parser.parse_args()

    files = json.loads((arguments.folder / "request.json").read_text())["files"]
    counts = np.load(arguments.folder / "sets.npy").astype(float)
    truth, categories = read_truth(arguments.annotations, files)
    height, width = (float(x) for x in arguments.size.split("x")) if arguments.size else (1, 1)

    detections = []  # boxes in pixels of the picture [N,4], scores [N,C], of each sample
    for i, (size, _) in enumerate(truth):
        arrays = np.load(arguments.folder / f"outputs/{i:06}.npz")
        boxes = arrays[arguments.boxes].reshape(-1, 4) * (np.array(size * 2) / np.array([width, height] * 2))
        scores = arrays[arguments.scores].reshape(len(boxes), -1)
        detections.append((boxes, scores if arguments.background is None else np.delete(scores, arguments.background, axis=1)))

    values = []
    for column, category in enumerate(categories):
        kept = []  # boxes, scores and objects of each sample
        for (boxes, scores), (_, objects) in zip(detections, truth):
            likely = np.flatnonzero(scores[:, column] >= arguments.least_score)
            order = likely[np.argsort(-scores[likely, column], kind="stable")]
            if arguments.nms is not None:
                order = order[suppress(boxes[order], scores[order, column], arguments.nms)]
            kept.append((boxes[order], scores[order, column], np.array(objects.get(category, []), float).reshape(-1, 4)))
        number = np.array([len(objects) for _, _, objects in kept], float)
        samples = np.repeat(np.arange(len(kept)), [len(scores) for _, scores, _ in kept])
        scores = np.concatenate([scores for _, scores, _ in kept])
        for iou in map(float, arguments.iou.split(",")):
            found = np.concatenate([match(boxes, objects, iou) for boxes, _, objects in kept])
            values.append(average_precision(found, scores, samples, number, counts))
    # A set may lack a category altogether: the mean is over those that it has.
    values = np.array(values)
    present = ~np.isnan(values)
    means = np.where(present, values, 0).sum(axis=0) / np.maximum(present.sum(axis=0), 1)
    print("\n".join(f"{value:.9g}" if any_present else "nan" for value, any_present in zip(means, present.any(axis=0))))


if __name__ == "__main__":
    main()
