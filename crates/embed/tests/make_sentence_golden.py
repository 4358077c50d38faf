"""Makes tests/golden/sentence: a tiny random BERT as the reference library saves one, and the vectors it gives.

Needs Python 3 and numpy, nothing else: the forward pass is written here from the formulas of the paper
(https://arxiv.org/abs/1810.04805) and of its published code, in double precision, independently of the crate. Texts are tokenized
by a WordPiece of its own that knows lower-case ASCII words only, which is all the texts below have.

    python3 tests/make_sentence_golden.py
"""

import json
import math
import os
import struct

import numpy

FOLDER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "golden", "sentence")
WIDTH, LAYERS, HEADS, INNER, POSITIONS = 8, 2, 2, 16, 12
PIECES = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"] + (
    "where is my refund card was charged twice review this contract clause please court the a un ##charge "
    "##ed ##ing ##s pay . ,"
).split()
TEXTS = [
    "where is my refund",
    "My card was charged twice.",
    "please review this contract clause, please",
    "uncharged",
    "zebra",
    "",
    "the the the the the the the the the the the the the the the the",
]
EPSILON = 1e-12

random = numpy.random.default_rng(7)


def tensor(*shape, scale=0.4, around=0.0):
    return (random.standard_normal(shape) * scale + around).astype("<f4")


weights = {
    "embeddings.word_embeddings.weight": tensor(len(PIECES), WIDTH),
    "embeddings.position_embeddings.weight": tensor(POSITIONS, WIDTH),
    "embeddings.token_type_embeddings.weight": tensor(2, WIDTH),
    "embeddings.LayerNorm.weight": tensor(WIDTH, scale=0.1, around=1.0),
    "embeddings.LayerNorm.bias": tensor(WIDTH, scale=0.1),
}
for layer in range(LAYERS):
    at = f"encoder.layer.{layer}."
    for name, to, origin in [
        ("attention.self.query", WIDTH, WIDTH),
        ("attention.self.key", WIDTH, WIDTH),
        ("attention.self.value", WIDTH, WIDTH),
        ("attention.output.dense", WIDTH, WIDTH),
        ("intermediate.dense", INNER, WIDTH),
        ("output.dense", WIDTH, INNER),
    ]:
        weights[f"{at}{name}.weight"] = tensor(to, origin)
        weights[f"{at}{name}.bias"] = tensor(to, scale=0.1)
    for name in ["attention.output.LayerNorm", "output.LayerNorm"]:
        weights[f"{at}{name}.weight"] = tensor(WIDTH, scale=0.1, around=1.0)
        weights[f"{at}{name}.bias"] = tensor(WIDTH, scale=0.1)


def word_pieces(text):
    words = text.lower().replace(".", " . ").replace(",", " , ").split()
    found = []
    for word in words:
        start, own = 0, []
        while start < len(word):
            ends = range(len(word), start, -1)
            mark = "##" if start else ""
            end = next((end for end in ends if mark + word[start:end] in PIECES), None)
            if end is None:
                own = ["[UNK]"]
                break
            own.append(mark + word[start:end])
            start = end
        found += own
    return [PIECES.index(piece) for piece in ["[CLS]"] + found[: POSITIONS - 2] + ["[SEP]"]]


def norm(states, name):
    mean = states.mean(axis=1, keepdims=True)
    variance = ((states - mean) ** 2).mean(axis=1, keepdims=True)
    return (states - mean) / numpy.sqrt(variance + EPSILON) * weights[f"{name}.weight"] + weights[f"{name}.bias"]


def linear(states, name):
    return states @ weights[f"{name}.weight"].astype(float).T + weights[f"{name}.bias"]


def gelu(values):
    return 0.5 * values * (1.0 + numpy.vectorize(math.erf)(values / math.sqrt(2.0)))


def softmax(scores):
    powers = numpy.exp(scores - scores.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def forward(pieces):
    states = weights["embeddings.word_embeddings.weight"][pieces].astype(float)
    states = states + weights["embeddings.position_embeddings.weight"][: len(pieces)]
    states = norm(states + weights["embeddings.token_type_embeddings.weight"][0], "embeddings.LayerNorm")
    size = WIDTH // HEADS
    for layer in range(LAYERS):
        at = f"encoder.layer.{layer}."
        query, key, value = (linear(states, f"{at}attention.self.{part}") for part in ("query", "key", "value"))
        heads = []
        for head in range(HEADS):
            part = slice(head * size, (head + 1) * size)
            heads.append(softmax(query[:, part] @ key[:, part].T / math.sqrt(size)) @ value[:, part])
        mixed = norm(
            linear(numpy.concatenate(heads, axis=1), f"{at}attention.output.dense") + states,
            f"{at}attention.output.LayerNorm",
        )
        inner = gelu(linear(mixed, f"{at}intermediate.dense"))
        states = norm(linear(inner, f"{at}output.dense") + mixed, f"{at}output.LayerNorm")
    return states


def save(path, tensors):
    header, data = {}, b""
    for name, values in tensors.items():
        bytes_ = values.tobytes()
        header[name] = {
            "dtype": "F32",
            "shape": list(values.shape),
            "data_offsets": [len(data), len(data) + len(bytes_)],
        }
        data += bytes_
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text + data)


def write(name, text):
    path = os.path.join(FOLDER, name)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w") as file:
        file.write(text + "\n")


save_to = os.path.join(FOLDER, "model.safetensors")
os.makedirs(FOLDER, exist_ok=True)
save(save_to, weights)
write("vocab.txt", "\n".join(PIECES))
config = {
    "model_type": "bert",
    "hidden_size": WIDTH,
    "num_hidden_layers": LAYERS,
    "num_attention_heads": HEADS,
    "intermediate_size": INNER,
    "max_position_embeddings": POSITIONS,
    "type_vocab_size": 2,
    "layer_norm_eps": EPSILON,
    "hidden_act": "gelu",
}
write("config.json", json.dumps(config, indent=1))
modes = {"word_embedding_dimension": WIDTH, "pooling_mode_cls_token": False, "pooling_mode_mean_tokens": True}
write("1_Pooling/config.json", json.dumps(modes | {"pooling_mode_max_tokens": False}, indent=1))
lines = []
for text in TEXTS:
    pieces = word_pieces(text)
    states = forward(pieces)
    pooled = {"mean_tokens": states.mean(axis=0), "cls_token": states[0], "max_tokens": states.max(axis=0)}
    unit = {mode: [round(float(value), 7) for value in vector / numpy.linalg.norm(vector)] for mode, vector in pooled.items()}
    lines.append(json.dumps({"text": text, "pieces": pieces, "vectors": unit}))
write("expected.jsonl", "\n".join(lines))
