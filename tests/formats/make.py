"""Writes the small data sets that the tests read, with the programs that people make them with.

    pip install -r requirements.txt
    python make.py OUT_DIR
    python check.py OUT_DIR    reads all of it with the programs that people read it with

With those versions the files are the same bytes every time; scripts/exchange_test compares them.

Image i of class c is drawn by `picture` or `grey`, so that the tests know each pixel: red 2 · c,
green 10 · i, blue 100 everywhere; or grey 20 · c + i.

cifar-10-python.tar.gz   as Python 3 and today's numpy pickle it
cifar-10-bytes/…         the same as who reads the release with encoding="bytes" pickles it again
cifar-10-protocol-5/…    the same in protocol 5, with labels that are numpy's numbers
cifar-100-python.tar.gz  as the release, by Python 2 (imitated: strings of bytes, numpy.core)
hub/                     a data set of two configurations as huggingface_hub caches it
parquet/                 train and test of PNGs in several row groups, compressed with snappy
parquet-zstd/            train, validation and test of grey PNGs with two columns of labels
mnist/                   train and t10k in idx, compressed with gzip
medmnist.npz             three splits of 8 × 8 × 3, labels (n, 1), deflated
grey.npz                 two splits of 8 × 8, not compressed, labels (n)
webdataset/              train-000000.tar, train-000001.tar, test-000000.tar with .png and .cls
folders/                 an image folder in every format that Pillow writes and astill reads, and
                         PNGs that are not quite right
"""
import gzip
import hashlib
import http.server
import io
import json
import os
import pickle
import shutil
import struct
import sys
import tarfile
import tempfile
import threading
import zlib

import datasets
import huggingface_hub
import numpy as np
import pyarrow.parquet as pq
import webdataset
from PIL import Image

OUT = sys.argv[1] if len(sys.argv) > 1 else sys.exit(__doc__)
CLASSES = ["cat", "dog", "owl"]


def picture(c, i, side=8):
    return np.broadcast_to(np.array([2 * c, 10 * i, 100], np.uint8), (side, side, 3)).copy()


def grey(c, i, side=8):
    return np.full((side, side), 20 * c + i, np.uint8)


class Python2(pickle._Pickler):
    """Writes bytes as Python 2 writes its str, and numpy under its old name."""

    dispatch = dict(pickle._Pickler.dispatch)

    def save_bytes(self, value):
        if len(value) < 256:
            self.write(pickle.SHORT_BINSTRING + bytes([len(value)]) + value)
        else:
            self.write(pickle.BINSTRING + struct.pack("<i", len(value)) + value)

    def save_str(self, value):
        self.save_bytes(value.encode())

    def save_global(self, value, name=None):
        module = value.__module__.replace("numpy._core", "numpy.core")
        self.write(pickle.GLOBAL + f"{module}\n{name or value.__qualname__}\n".encode())

    dispatch[bytes] = save_bytes
    dispatch[str] = save_str
    dispatch[type] = save_global
    dispatch[type(len)] = save_global
    dispatch[type(picture)] = save_global


def pickled(value, is_old, protocol):
    if not is_old:
        return pickle.dumps(value, protocol=protocol)
    file = io.BytesIO()
    Python2(file, protocol=2).dump(value)
    return file.getvalue()


def archive(path, files):
    """A tar.gz that is the same bytes every time."""
    with open(path, "wb") as out, gzip.GzipFile("", "wb", fileobj=out, mtime=0) as packed:
        with tarfile.open(fileobj=packed, mode="w") as tar:
            for name, content in files.items():
                member = tarfile.TarInfo(name)
                member.size = len(content)
                tar.addfile(member, io.BytesIO(content))


def cifar(name, folder, images, meta, labels, is_old, key=str, number=int, protocol=2):
    files = {}
    for file, pairs in images.items():
        planes = [picture(c, i, 32).transpose(2, 0, 1).reshape(-1) for c, i in pairs]
        batch = {
            key("batch_label"): key("a batch"),
            key("data"): np.stack(planes),
            key(labels): [number(c) for c, _ in pairs],
            key("filenames"): [key("x.png") for _ in pairs],
        }
        if labels == "fine_labels":
            batch[key("coarse_labels")] = [99 - c for c, _ in pairs]
        files[f"{folder}/{file}"] = pickled(batch, is_old, protocol)
    for file, content in meta.items():
        files[f"{folder}/{file}"] = pickled(content, is_old, protocol)
    archive(f"{OUT}/{name}", files)


os.makedirs(OUT, exist_ok=True)
for name, key, number, protocol in [
    ("", str, int, 2),
    ("cifar-10-bytes/", str.encode, int, 2),
    ("cifar-10-protocol-5/", str, np.int64, 5),
]:
    os.makedirs(f"{OUT}/{name}", exist_ok=True)
    cifar(
        f"{name}cifar-10-python.tar.gz",
        "cifar-10-batches-py",
        {f"data_batch_{b}": [(c, b) for c in range(10)] for b in range(1, 6)}
        | {"test_batch": [(c, 9) for c in reversed(range(10))]},
        {"batches.meta": {key("label_names"): [key(f"class {c}") for c in range(10)], key("num_vis"): 3072}},
        "labels",
        False,
        key,
        number,
        protocol,
    )
cifar(
    "cifar-100-python.tar.gz",
    "cifar-100-python",
    {"train": [(c, 1) for c in range(100)], "test": [(c, 2) for c in range(100)]},
    {"meta": {"fine_label_names": [f"fine {c}" for c in range(100)], "coarse_label_names": ["x"] * 20}},
    "fine_labels",
    True,
)


def table(pairs, draw, **more):
    features = {"img": datasets.Image(), "label": datasets.ClassLabel(names=CLASSES)}
    columns = {"img": [Image.fromarray(draw(c, i)) for c, i in pairs], "label": [c for c, _ in pairs]}
    for name, (feature, values) in more.items():
        features[name], columns[name] = feature, values
    return datasets.Dataset.from_dict(columns, features=datasets.Features(features))


TRAIN = [(c, i) for i in range(4) for c in range(3)]
TEST = [(c, i) for i in range(8, 10) for c in range(3)]
for folder in ["parquet/data", "parquet-zstd/data"]:
    os.makedirs(f"{OUT}/{folder}", exist_ok=True)
for split, pairs in [("train", TRAIN), ("test", TEST)]:
    half = len(pairs) // 2
    for part, some in enumerate([pairs[:half], pairs[half:]]):
        file = f"{OUT}/parquet/data/{split}-{part:05}-of-00002.parquet"
        table(some, picture).to_parquet(file, batch_size=2)
coarse = datasets.ClassLabel(names=["mammal", "bird"])
for split, pairs in [("train", TRAIN), ("validation", TEST[:3]), ("test", TEST[3:])]:
    file = f"{OUT}/parquet-zstd/data/{split}-00000-of-00001.parquet"
    more = {"coarse": (coarse, [int(c == 2) for c, _ in pairs])}
    table(pairs, grey, **more).to_parquet(file)
    pq.write_table(pq.read_table(file), file, compression="zstd")

commit = "0123456789abcdef0123456789abcdef01234567"
hub = {}
for configuration in ["plain", "other"]:
    for split, pairs in [("train", TRAIN), ("test", TEST)]:
        file = io.BytesIO()
        table(pairs, picture).to_parquet(file)
        hub[f"{configuration}/{split}-00000-of-00001.parquet"] = file.getvalue()


class Hub(http.server.BaseHTTPRequestHandler):
    """As much of the Hugging Face Hub as huggingface_hub asks for."""

    def answer(self, content, **headers):
        self.send_response(200)
        for name, value in {"Content-Length": len(content), "X-Repo-Commit": commit, **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(content)

    def do_GET(self):
        if "/tree/" in self.path:
            files = [
                {"type": "file", "path": name, "size": len(content), "oid": hashlib.sha1(content).hexdigest()}
                for name, content in hub.items()
            ]
            self.answer(json.dumps(files).encode())
        elif self.path.startswith("/api/"):
            files = [{"rfilename": name} for name in hub]
            self.answer(json.dumps({"id": "someone/pets", "sha": commit, "siblings": files}).encode())
        else:
            content = hub[self.path.split(f"/resolve/{commit}/")[1]]
            self.answer(content, ETag=f'"{hashlib.sha256(content).hexdigest()}"')

    do_HEAD = do_GET

    def log_message(self, *_):
        pass


with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hub) as server, tempfile.TemporaryDirectory() as cache:
    threading.Thread(target=server.serve_forever, daemon=True).start()
    huggingface_hub.snapshot_download(
        "someone/pets", repo_type="dataset", endpoint=f"http://127.0.0.1:{server.server_port}", cache_dir=cache
    )
    server.shutdown()
    shutil.rmtree(f"{OUT}/hub", ignore_errors=True)
    name = "datasets--someone--pets"
    shutil.copytree(f"{cache}/{name}", f"{OUT}/hub/{name}", symlinks=True)


def idx(path, array):
    header = bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape)
    with open(path, "wb") as out, gzip.GzipFile("", "wb", fileobj=out, mtime=0) as packed:
        packed.write(header + array.tobytes())


os.makedirs(f"{OUT}/mnist", exist_ok=True)
for part, pairs in [("train", TRAIN), ("t10k", TEST)]:
    idx(f"{OUT}/mnist/{part}-images-idx3-ubyte.gz", np.stack([grey(c, i, 28) for c, i in pairs]))
    idx(f"{OUT}/mnist/{part}-labels-idx1-ubyte.gz", np.array([c for c, _ in pairs], np.uint8))

splits = [("train", TRAIN), ("val", TEST[:3]), ("test", TEST[3:])]
arrays = {}
for split, pairs in splits:
    arrays[f"{split}_images"] = np.stack([picture(c, i) for c, i in pairs])
    arrays[f"{split}_labels"] = np.array([[c] for c, _ in pairs], np.uint8)
np.savez_compressed(f"{OUT}/medmnist.npz", **arrays)
np.savez(
    f"{OUT}/grey.npz",
    x_train=np.stack([grey(c, i) for c, i in TRAIN]),
    y_train=np.array([c for c, _ in TRAIN]),
    x_test=np.stack([grey(c, i) for c, i in TEST]),
    y_test=np.array([c for c, _ in TEST], np.int32),
)

os.makedirs(f"{OUT}/webdataset", exist_ok=True)
for shard, pairs in [("train-000000", TRAIN[:6]), ("train-000001", TRAIN[6:]), ("test-000000", TEST)]:
    with webdataset.TarWriter(f"{OUT}/webdataset/{shard}.tar", mtime=0) as tar:
        for c, i in pairs:
            tar.write({"__key__": f"a/{c}_{i}", "png": picture(c, i), "cls": c, "json": {"i": i}})


def saved(name, image, **options):
    path = f"{OUT}/folders/{name}"
    os.makedirs(os.path.dirname(path), exist_ok=True)
    image.save(path, **options)
    return path


def damaged(path, change):
    """Changes the PNG at `path`: `change` gets its bytes, and where its data and its end begin."""
    png = open(path, "rb").read()
    data, end = png.index(b"IDAT") - 4, png.index(b"IEND") - 4
    open(path, "wb").write(change(png, data, end))


def with_text(png, data, end):
    chunk = b"tEXt" + b"Comment\0later"
    return png[:end] + struct.pack(">I", len(chunk) - 4) + chunk + struct.pack(">I", zlib.crc32(chunk) ^ 1)


for c, name in enumerate(CLASSES):
    for i in range(3):
        saved(f"test/{name}/{i}.png", Image.fromarray(picture(c, i)))
    drawn = [Image.fromarray(picture(c, i)) for i in range(20)]
    with_alpha = drawn[4].convert("RGBA")
    for i, (extension, image, options) in enumerate([
        ("png", drawn[0], {}),
        ("webp", drawn[1], {"lossless": True}),
        ("bmp", drawn[2], {}),
        ("tif", drawn[3], {"compression": "tiff_lzw"}),
        ("png", with_alpha, {}),
        ("ppm", drawn[5], {}),
        ("gif", drawn[6], {}),
        ("jpg", drawn[7], {"quality": 100, "subsampling": 0}),
        ("jpg", drawn[8], {"quality": 100, "subsampling": 0, "progressive": True}),
        ("png", drawn[9].quantize(4), {}),
        ("tiff", drawn[10], {}),
        ("jpg", drawn[11].convert("CMYK"), {"quality": 100, "subsampling": 0}),
    ]):
        saved(f"train/{name}/{i:02}.{extension}", image, **options)
    for i, change in [
        (12, lambda png, data, end: png[:end]),
        (13, lambda png, data, end: png[: end - 1] + bytes([png[end - 1] ^ 1]) + png[end:]),
        (14, lambda png, data, end: png[: end - 2]),
        (15, with_text),
    ]:
        damaged(saved(f"train/{name}/{i}.png", drawn[i]), change)
