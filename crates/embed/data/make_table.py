#!/usr/bin/env python3
"""Make the static table from all-MiniLM-L6-v2, or compare a table with what this script would make.

    pip install numpy tokenizers
    python make_table.py MODEL_FOLDER OUT.safetensors            # make
    python make_table.py MODEL_FOLDER --compare TABLE.safetensors  # compare, changing nothing

MODEL_FOLDER holds model.safetensors and vocab.txt of sentence-transformers/all-MiniLM-L6-v2 (Apache-2.0). No other
data goes in, so that the table's licence is that of the weights.

For every piece of the vocabulary:
  1. run the encoder on [CLS] piece [SEP] and average its three outputs;
  2. scale to unit length;
  3. centre on the mean of the pieces that are not special, and keep the 256 directions of largest variance (principal
     components of those pieces);
  4. multiply by a / (a + p), a = 0.0001, p the piece's share of text if shares fall with rank as 1 / (rank + 2): the
     vocabulary is ordered by frequency, so frequent pieces count little (smooth inverse frequency);
  5. special and unused pieces, written in square brackets, become zero (and so does the piece `[` itself);
  6. round each row to signed bytes in proportion to its largest component, and keep the factor.
"""

import json
import math
import struct
import sys
from pathlib import Path

import numpy as np

DIMENSIONS = 256
HEADS = 12
EPSILON = 1e-12


def read_safetensors(path):
    file = Path(path).read_bytes()
    (length,) = struct.unpack("<Q", file[:8])
    kinds = {"F32": "<f4", "I8": "i1", "I64": "<i8"}
    tensors = {}
    for name, entry in json.loads(file[8 : 8 + length]).items():
        if name != "__metadata__":
            begin, end = (8 + length + offset for offset in entry["data_offsets"])
            tensors[name] = np.frombuffer(file[begin:end], kinds[entry["dtype"]]).reshape(entry["shape"])
    return tensors


def write_safetensors(path, scales, rows):
    begin = scales.nbytes
    header = {
        "__metadata__": {
            "source": "all-MiniLM-L6-v2 (Apache-2.0): forward pass of [CLS] tok [SEP], mean-pool, L2-norm, PCA, SIF folded in"
        },
        "row_scale": {"dtype": "F32", "shape": list(scales.shape), "data_offsets": [0, begin]},
        "embedding_int8": {"dtype": "I8", "shape": list(rows.shape), "data_offsets": [begin, begin + rows.nbytes]},
    }
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    Path(path).write_bytes(struct.pack("<Q", len(text)) + text + scales.astype("<f4").tobytes() + rows.tobytes())


def normalized(values, weight, bias):
    centred = values - values.mean(-1, keepdims=True)
    return centred / np.sqrt((centred**2).mean(-1, keepdims=True) + EPSILON) * weight + bias


def erf(values):
    """Abramowitz and Stegun 7.1.26, off by less than 2e-7, which is beyond what a byte keeps."""
    size = np.abs(values)
    t = 1 / (1 + 0.3275911 * size)
    series = t * (0.254829592 + t * (-0.284496736 + t * (1.421413741 + t * (-1.453152027 + t * 1.061405429))))
    return np.sign(values) * (1 - series * np.exp(-size * size))


def encode(weights, ids):
    """The mean of the encoder's outputs for a batch of sequences of equal length."""
    get = lambda name: weights[name]
    linear = lambda values, name: values @ get(name + ".weight").T + get(name + ".bias")
    norm = lambda values, name: normalized(values, get(name + ".weight"), get(name + ".bias"))
    batch, length = ids.shape
    hidden = (
        get("embeddings.word_embeddings.weight")[ids]
        + get("embeddings.position_embeddings.weight")[:length]
        + get("embeddings.token_type_embeddings.weight")[0]
    )
    hidden = norm(hidden, "embeddings.LayerNorm")
    heads = lambda values: values.reshape(batch, length, HEADS, -1).transpose(0, 2, 1, 3)
    layer = 0
    while f"encoder.layer.{layer}.output.dense.weight" in weights:
        at = f"encoder.layer.{layer}."
        query, key, value = (heads(linear(hidden, f"{at}attention.self.{part}")) for part in ("query", "key", "value"))
        scores = query @ key.transpose(0, 1, 3, 2) / math.sqrt(query.shape[-1])
        scores = np.exp(scores - scores.max(-1, keepdims=True))
        mixed = (scores / scores.sum(-1, keepdims=True)) @ value
        mixed = mixed.transpose(0, 2, 1, 3).reshape(batch, length, -1)
        hidden = norm(linear(mixed, at + "attention.output.dense") + hidden, at + "attention.output.LayerNorm")
        inner = linear(hidden, at + "intermediate.dense")
        inner = inner * 0.5 * (1 + erf(inner / np.float32(math.sqrt(2))))
        hidden = norm(linear(inner.astype(np.float32), at + "output.dense") + hidden, at + "output.LayerNorm")
        layer += 1
    return hidden.mean(1)


def make(folder):
    pieces = Path(folder, "vocab.txt").read_text(encoding="utf-8").splitlines()
    weights = {name.removeprefix("bert."): tensor for name, tensor in read_safetensors(Path(folder, "model.safetensors")).items()}
    opens, closes = pieces.index("[CLS]"), pieces.index("[SEP]")
    vectors = []
    for first in range(0, len(pieces), 512):
        ids = np.array([[opens, piece, closes] for piece in range(first, min(first + 512, len(pieces)))])
        vectors.append(encode(weights, ids))
        print(f"\r{first + len(ids)} of {len(pieces)}", end="", file=sys.stderr)
    print(file=sys.stderr)
    vectors = np.concatenate(vectors).astype(np.float64)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    special = np.array([piece.startswith("[") for piece in pieces])
    centre = vectors[~special].mean(0)
    values, directions = np.linalg.eigh(np.cov((vectors[~special] - centre).T))
    directions = directions[:, np.argsort(values)[::-1][:DIMENSIONS]]
    # The sign of a principal component is arbitrary: its largest entry is made positive.
    directions *= np.sign(directions[np.abs(directions).argmax(0), np.arange(DIMENSIONS)])
    share = 1 / (np.arange(len(pieces)) + 2)
    share /= share.sum()
    table = (vectors - centre) @ directions * (1e-4 / (1e-4 + share))[:, None]
    table[special] = 0
    return table


def compare(made, tensors):
    """How alike the rows of two tables are among each other: components may be turned, angles and lengths may not."""
    given = tensors["embedding_int8"].astype(float) * tensors["row_scale"].astype(float)[:, None]
    lengths = np.linalg.norm(made, axis=1), np.linalg.norm(given, axis=1)
    print("zero rows, made and given:", (lengths[0] == 0).sum(), (lengths[1] == 0).sum())
    known = (lengths[0] > 0) & (lengths[1] > 0)
    ratio = lengths[1][known] / lengths[0][known]
    print(f"length given / made: {ratio.min():.4f} to {ratio.max():.4f}")
    picked = np.flatnonzero(known)[:: max(1, known.sum() // 2000)]
    unit = [table[picked] / np.linalg.norm(table[picked], axis=1, keepdims=True) for table in (made, given)]
    difference = np.abs(unit[0] @ unit[0].T - unit[1] @ unit[1].T)
    print(f"cosines between {len(picked)} rows differ by at most {difference.max():.4f}, {difference.mean():.5f} on average")
    column = np.abs((unit[0] * unit[1]).sum(0)) / np.sqrt((unit[0] ** 2).sum(0) * (unit[1] ** 2).sum(0))
    print(f"components agree up to sign: correlation {column.min():.3f} at least, {np.median(column):.5f} in the middle")


def main():
    folder, target = sys.argv[1], sys.argv[2:]
    table = make(folder)
    if target[0] == "--compare":
        compare(table, read_safetensors(target[1]))
        return
    scales = np.abs(table).max(1) / 127
    rows = np.rint(table / np.where(scales == 0, 1, scales)[:, None]).astype(np.int8)
    write_safetensors(target[0], scales, rows)


if __name__ == "__main__":
    main()
