"""A small GGUF (version 3) writer and reader: what this model's file needs, standard library only."""
import math
import struct
from pathlib import Path

ALIGNMENT = 32
U32, I32, F32, BOOL, STRING, ARRAY, U64 = 4, 5, 6, 7, 8, 9, 10
TENSOR_F32, TENSOR_F16 = 0, 1
ITEM_BYTES = {TENSOR_F32: 4, TENSOR_F16: 2}
SCALARS = {0: "<B", 1: "<b", 2: "<H", 3: "<h", U32: "<I", I32: "<i", F32: "<f", BOOL: "<?", U64: "<Q", 11: "<q", 12: "<d"}


def _string(text):
    data = text.encode()
    return struct.pack("<Q", len(data)) + data


def _value(kind, value):
    return _string(value) if kind == STRING else struct.pack(SCALARS[kind], value)


def write(path, metadata, tensors):
    """metadata: [(key, type, value)], an array as (key, (ARRAY, type), values).
    tensors: [(name, shape, type, bytes)], the shape row-major as in PyTorch; GGUF lists it fastest dimension first.
    """
    out = bytearray(b"GGUF" + struct.pack("<IQQ", 3, len(tensors), len(metadata)))
    for key, kind, value in metadata:
        out += _string(key)
        if isinstance(kind, tuple):
            out += struct.pack("<IIQ", ARRAY, kind[1], len(value)) + b"".join(_value(kind[1], v) for v in value)
        else:
            out += struct.pack("<I", kind) + _value(kind, value)
    offset = 0
    for name, shape, kind, data in tensors:
        out += _string(name) + struct.pack("<I", len(shape))
        out += struct.pack(f"<{len(shape)}Q", *reversed(shape)) + struct.pack("<IQ", kind, offset)
        offset += -(-len(data) // ALIGNMENT) * ALIGNMENT
    for _, _, _, data in tensors:
        out += bytes(-len(out) % ALIGNMENT)
        out += data
    out += bytes(-len(out) % ALIGNMENT)
    # One rename, so that a run cut off here leaves no half file under the model's name.
    scratch = Path(f"{path}.part")
    scratch.write_bytes(out)
    scratch.rename(path)


def read(path, with_tensors=True):
    """The metadata as a dictionary, and the tensors as [(name, shape, type, bytes)] like write takes them."""
    data, at = Path(path).read_bytes(), 24
    magic, version, tensor_count, count = struct.unpack_from("<4sIQQ", data)
    if magic != b"GGUF" or version not in (2, 3):
        raise ValueError(f"{path}: no GGUF file of version 2 or 3")

    def value(kind):
        nonlocal at
        if kind == STRING:
            (length,) = struct.unpack_from("<Q", data, at)
            at += 8 + length
            return data[at - length:at].decode()
        if kind == ARRAY:
            inner, length = value(U32), value(U64)
            return [value(inner) for _ in range(length)]
        (result,) = struct.unpack_from(SCALARS[kind], data, at)
        at += struct.calcsize(SCALARS[kind])
        return result

    metadata = {}
    for _ in range(count):
        key = value(STRING)
        metadata[key] = value(value(U32))
    if not with_tensors:
        return metadata, []

    headers = []
    for _ in range(tensor_count):
        name = value(STRING)
        shape = tuple(value(U64) for _ in range(value(U32)))[::-1]
        headers.append((name, shape, value(U32), value(U64)))
    alignment = metadata.get("general.alignment", ALIGNMENT)
    begin, tensors = -(-at // alignment) * alignment, []
    for name, shape, kind, offset in headers:
        size = math.prod(shape) * ITEM_BYTES[kind]
        tensors.append((name, shape, kind, data[begin + offset:begin + offset + size]))
    return metadata, tensors
