"""Runs kernels of AMD code objects on the emulator of AMD's instruction set that tinygrad has for its tests.

  HIPFORGE_TINYGRAD=CHECKOUT python3 emulate.py ARCHITECTURE CODE_OBJECT...

Started by `hipforge replay --emulate`. One JSON line on stdout says {"ready": true} or {"error": TEXT}; then each
line on stdin is a launch and is answered by one line:

  {"kernel": NAME, "grid": [x, y, z], "block": [x, y, z], "shared_bytes": N, "args": HEX,
   "buffers": [PATH, ...], "pointers": [[offset in args, buffer, offset in buffer], ...]}

Each buffer is a file that is mapped and changed in place; grid is in blocks, block in threads. Answers:

  {"ran": true, "seconds": S}
  {"missing": NAME}         no code object has that kernel
  {"not_emulated": NAME, "code_object": PATH, "address": N}
                            an instruction that the emulator lacks, as well as it can name it, and where it stands
  {"error": TEXT}           anything else

What is used of the checkout: test.mockgpu.amd.emu, run_asm(). The formats of code objects are those of LLVM's "User
Guide for AMDGPU Backend": sections "Kernel Descriptor", "Code Object Metadata", "Kernel Dispatch".
"""
import ctypes
import json
import mmap
import os
import re
import shutil
import struct
import sys
import time

FAMILIES = {"gfx90a": "cdna", "gfx942": "cdna", "gfx950": "cdna", "gfx11": "rdna3", "gfx12": "rdna4"}

PT_LOAD, PT_NOTE = 1, 4
SHT_SYMTAB, SHT_RELA, SHT_REL, SHT_DYNSYM = 2, 4, 9, 11
NT_AMDGPU_METADATA = 32
# Arguments of the compiler's own that are 0 here: blocks are whole and start at 0, and nothing prints or allocates.
ZERO_ARGUMENTS = ("hidden_remainder_", "hidden_global_offset_", "hidden_none", "hidden_hostcall_buffer",
                  "hidden_heap_v1", "hidden_default_queue", "hidden_completion_action", "hidden_multigrid_sync_arg",
                  "hidden_queue_ptr")
LDS_BYTES = 64 * 1024
LDS_GRANULE = 512  # bytes in a step of the kernel descriptor's LDS size


class Refused(Exception):
    """A launch that cannot be emulated; the text is the answer's error."""


def unpack_msgpack(data):
    """The one value that `data` holds, of the subset that code object metadata uses."""
    at = 0

    def take(count):
        nonlocal at
        at += count
        return data[at - count:at]

    def integer(format_):
        return struct.unpack(">" + format_, take(struct.calcsize(format_)))[0]

    def value():
        tag = integer("B")
        if tag < 0x80:
            return tag
        if tag < 0x90:
            return {value(): value() for _ in range(tag & 0x0f)}
        if tag < 0xa0:
            return [value() for _ in range(tag & 0x0f)]
        if tag < 0xc0:
            return take(tag & 0x1f).decode()
        if tag >= 0xe0:
            return tag - 0x100
        if tag in (0xc0, 0xc2, 0xc3):
            return {0xc0: None, 0xc2: False, 0xc3: True}[tag]
        if 0xcc <= tag <= 0xd3:
            return integer("BHIQbhiq"[tag - 0xcc])
        if 0xd9 <= tag <= 0xdb:
            return take(integer("BHI"[tag - 0xd9])).decode()
        if tag in (0xdc, 0xdd):
            return [value() for _ in range(integer("HI"[tag - 0xdc]))]
        if tag in (0xde, 0xdf):
            return {value(): value() for _ in range(integer("HI"[tag - 0xde]))}
        raise ValueError(f"metadata has an unexpected tag {tag:#x}")

    return value()


def division_scale(_, kind):
    """V_DIV_SCALE in the emulator's pseudo-code: when a step of the compiler's division scales which operand.

    Numerator S2, denominator S1; S0 is the one to scale; VCC tells V_DIV_FMAS to undo it by 2^64 (f64: 2^128) up where
    the quotient so far is large, else down. The emulator's own version loses quotients of tiny numerators. This one is
    the instruction set manual's, with its two shorthands spelled out and one sign put right, so that the sequence that
    LLVM makes of a division is correctly rounded.
    """
    far, tiny, scale, huge = (96, 23, 64, 252) if kind == "f32" else (768, 53, 128, 2044)
    numerator, denominator, scaled = f"S2.{kind}", f"S1.{kind}", f"S0.{kind}"

    def only(operand, power):
        return (f"VCC.u64[laneId] = 1;\nif {scaled} == {operand} then\nD0.{kind} = ldexp({scaled}, {power})\n"
                f"else\nD0.{kind} = {scaled}\nendif")

    def both(power):
        return f"D0.{kind} = ldexp({scaled}, {power})"

    would_be_subnormal = f"divWouldBeDenorm({numerator}, {denominator})"
    return "\n".join((
        "VCC.u64[laneId] = 0;",
        f"if ((64'F({numerator}) == 0.0) || (64'F({denominator}) == 0.0)) then", f"D0.{kind} = NAN.{kind}",
        f"elsif exponent({numerator}) - exponent({denominator}) >= {far} then", only(denominator, scale),
        f"elsif isDENORM({denominator}) then", both(scale),
        f"elsif ((exponent({denominator}) > {huge}) && {would_be_subnormal}) then", only(denominator, -scale),
        f"elsif exponent({denominator}) > {huge} then", both(-scale),
        f"elsif {would_be_subnormal} then", only(numerator, scale),
        f"elsif exponent({numerator}) <= {tiny} then", both(scale),
        "else", f"D0.{kind} = {scaled}", "endif"))


class CodeObject:
    """An ELF file of kernels, loaded to memory that the emulator reads as code."""

    def __init__(self, path):
        with open(path, "rb") as file:
            data = file.read()
        if data[:4] != b"\x7fELF" or data[4] != 2 or struct.unpack_from("<H", data, 18)[0] != 224:
            raise ValueError(f"{path} is no 64-bit AMDGPU code object")
        phoff, shoff = struct.unpack_from("<QQ", data, 32)
        phentsize, phnum, shentsize, shnum = struct.unpack_from("<HHHH", data, 54)
        segments = [struct.unpack_from("<IIQQQQQQ", data, phoff + i * phentsize) for i in range(phnum)]
        sections = [struct.unpack_from("<IIQQQQIIQQ", data, shoff + i * shentsize) for i in range(shnum)]
        if any(section[1] in (SHT_RELA, SHT_REL) and section[5] for section in sections):
            raise ValueError(f"{path} has relocations, which are not implemented")
        self.path = path

        loads = [segment for segment in segments if segment[0] == PT_LOAD]
        self.bytes = max(vaddr + memsz for _, _, _, vaddr, _, _, memsz, _ in loads)
        self.memory = mmap.mmap(-1, self.bytes + mmap.PAGESIZE)  # the decoder reads past the last instruction
        for _, _, offset, vaddr, _, filesz, _, _ in loads:
            self.memory[vaddr:vaddr + filesz] = data[offset:offset + filesz]
        self.base = ctypes.addressof(ctypes.c_char.from_buffer(self.memory))

        self.symbols = {}
        for section in sections:
            if section[1] not in (SHT_SYMTAB, SHT_DYNSYM):
                continue
            names = sections[section[6]][4]
            for at in range(section[4], section[4] + section[5], 24):
                name, _, _, _, value, _ = struct.unpack_from("<IBBHQQ", data, at)
                self.symbols[data[names + name:data.index(b"\0", names + name)].decode()] = value
        self.kernels = {}
        for _, _, offset, _, _, filesz, _, align in (s for s in segments if s[0] == PT_NOTE):
            self._read_notes(data[offset:offset + filesz], max(align, 4))

    def _read_notes(self, notes, align):
        at = 0
        while at + 12 <= len(notes):
            namesz, descsz, kind = struct.unpack_from("<III", notes, at)
            name = notes[at + 12:at + 12 + namesz].rstrip(b"\0")
            at += 12 + (namesz + align - 1) // align * align
            if name == b"AMDGPU" and kind == NT_AMDGPU_METADATA:
                for kernel in unpack_msgpack(notes[at:at + descsz])["amdhsa.kernels"]:
                    self.kernels[kernel[".name"]] = kernel
            at += (descsz + align - 1) // align * align


class Buffers:
    """Files mapped for one launch."""

    def __init__(self, paths):
        self.maps, self.holders = [], []
        for path in paths:
            with open(path, "r+b") as file:
                self.maps.append(mmap.mmap(file.fileno(), 0))
            self.holders.append(ctypes.c_char.from_buffer(self.maps[-1]))

    def __enter__(self):
        return [ctypes.addressof(holder) for holder in self.holders]

    def __exit__(self, *_):
        self.holders.clear()  # a mapping with a view of it cannot be closed
        for mapping in self.maps:
            mapping.close()


def kernel_arguments(kernel, explicit, grid, block, shared_bytes):
    """The kernarg segment: the one argument by value, then what the compiler asked the runtime for."""
    segment = ctypes.create_string_buffer(max(kernel[".kernarg_segment_size"], 8))

    def put(argument, number):
        offset, size = argument[".offset"], argument[".size"]
        segment[offset:offset + size] = int(number).to_bytes(size, "little")

    for argument in kernel.get(".args", []):
        kind, offset, size = argument[".value_kind"], argument[".offset"], argument[".size"]
        if kind == "by_value":
            if offset != 0 or size != len(explicit):
                raise Refused(f"the code object's kernel takes {size} bytes of arguments, the record has {len(explicit)}")
            segment[:size] = explicit
        elif kind.startswith("hidden_block_count_"):
            put(argument, grid["xyz".index(kind[-1])])
        elif kind.startswith("hidden_group_size_"):
            put(argument, block["xyz".index(kind[-1])])
        elif kind == "hidden_grid_dims":
            put(argument, max([1] + [axis + 1 for axis in range(3) if grid[axis] * block[axis] > 1]))
        elif kind == "hidden_dynamic_lds_size":
            put(argument, shared_bytes)
        elif kind.startswith(ZERO_ARGUMENTS):
            put(argument, 0)
        else:
            raise Refused(f"the kernel wants {kind}, which is not implemented")
    return segment


class Emulator:
    def __init__(self, architecture, paths):
        family = next((family for prefix, family in FAMILIES.items() if architecture.startswith(prefix)), None)
        if family is None:
            raise ValueError(f"the emulator does not know {architecture}")
        os.environ["DEV"] = "CPU"
        if "CC" not in os.environ:  # tinygrad compiles each instruction with clang, whatever its name
            names = ["clang"] + [f"clang-{version}" for version in range(30, 13, -1)]
            os.environ["CC"] = next((name for name in names if shutil.which(name)), "clang")
        # What was compiled once is kept beside the code objects, not in the user's home.
        os.environ.setdefault("CACHEDB", os.path.join(os.path.dirname(os.path.abspath(paths[0])), "emulator.db"))
        sys.path.insert(0, os.environ["HIPFORGE_TINYGRAD"])
        from test.mockgpu.amd import emu
        self.emu, self.family = emu, family
        self.flush_library = emu._get_ftz_lib
        self._decode_at = emu._decode_at
        emu._decode_at = self._decode_prepared
        self._mem_store = emu._mem_store
        emu._mem_store = self._store_dword
        emu._fix_div_scale = division_scale
        self._stores = []  # of the instruction that is being compiled
        self._decoded = None  # its address
        self._parse_pcode = emu.parse_pcode
        emu.parse_pcode = self._parse_within_lds
        self._dpp16_ctrl = emu._dpp16_ctrl
        emu._dpp16_ctrl = self._lane_of_dpp
        if family == "cdna":
            for kind in (emu.irc.VOP1, emu.irc.VOP2, emu.irc.VOPC):
                emu._INST_HANDLERS[kind] = self._whole_registers(emu._INST_HANDLERS[kind])
            emu._INST_HANDLERS[emu.irc.DS] = self._lds_of_accumulators(emu._INST_HANDLERS[emu.irc.DS])
            emu._INST_HANDLERS[emu.irc.VOP3P] = self._whole_halves(emu._INST_HANDLERS[emu.irc.VOP3P])
        else:
            for kind in (emu.ir3.DS, emu.ir4.DS):
                emu._INST_HANDLERS[kind] = self._half_from_lds(emu._INST_HANDLERS[kind])
        # V_DIV_FIXUP's result of a quotient far below the smallest subnormal; rounding to nearest, that is 0.
        get_pcode = emu.get_pcode
        emu.get_pcode = lambda op: re.sub(r"UNDERFLOW_F\d+", "0.0F", get_pcode(op))
        self.objects = [CodeObject(path) for path in paths]

    def _decode_prepared(self, address, family):
        """Decodes an instruction after hiding from the emulator what it takes amiss.

        Of a CDNA FLAT instruction it takes the unused SADDR field for a scalar base, and the offset, 12 bits without a
        sign, for a signed one. On global memory, where all of our pointers lead, GLOBAL with SADDR `off` (0x7f) does
        the same under the same opcode. V_MAD_F32, which gfx90a alone has, goes for V_FMA_F32: the compiler makes it in
        divisions of integers only, where the product is exact. V_MFMA_F32_16X16X16BF16_1K of gfx90a is what gfx942 has
        under another opcode as V_MFMA_F32_16X16X16_BF16. Of caches there is nothing to invalidate. The emulator reads
        fields from memory at every execution, so the code itself is changed.
        """
        self._stores = []
        self._decoded = address
        word, = struct.unpack("<Q", ctypes.string_at(address, 8))
        other = word
        if family == "cdna" and word >> 26 & 0x3f == 0b110111 and word >> 14 & 3 == 0:  # FLAT
            other = word | 2 << 14 | 0x7f << 48
        elif family == "cdna" and word >> 16 & 0xffff == 0xd1c1:  # V_MAD_F32
            other = word | 0xd1cb << 16
        elif family == "cdna" and word >> 16 & 0xffff == 0xd3e7:  # V_MFMA_F32_16X16X16BF16_1K
            other = word ^ (0xd3e7 ^ 0xd3e1) << 16
        elif family == "rdna3" and word >> 18 & 0x3fff in (0x382b, 0x382c):  # BUFFER_GL0_INV, BUFFER_GL1_INV
            other = 0xbf800000bf800000  # S_NOP twice
        if other != word:
            ctypes.memmove(address, struct.pack("<Q", other), 8)
        return self._decode_at(address, family)

    def _whole_registers(self, handler):
        """The handler of a 16-bit instruction on CDNA. The emulator takes vector registers from 128 on for the high
        halves of those from 0 on, which they are on RDNA 3 and 4 alone; so no number of a register reaches its limits.
        """
        def compile_instruction(instruction, context):
            constant = self.emu._c
            if 16 in instruction.canonical_op_bits.values():
                self.emu._c = lambda value, *dtype: constant(0x10000 if value in (128, 384) else value, *dtype)
            try:
                return handler(instruction, context)
            finally:
                self.emu._c = constant
        return compile_instruction

    def _lds_of_accumulators(self, handler):
        """The handler of an LDS instruction on CDNA. The emulator writes from vector registers what the instruction's
        bit ACC wants from accumulator registers."""
        def compile_instruction(instruction, context):
            if not instruction.acc:
                return handler(instruction, context)
            address = context.inst_field(type(instruction).addr)
            context_type, read = type(context), type(context).rvgpr_dyn
            context_type.rvgpr_dyn = lambda self, register, *place: (
                read if register is address else context_type.raccvgpr_dyn)(self, register, *place)
            try:
                return handler(instruction, context)
            finally:
                context_type.rvgpr_dyn = read
        return compile_instruction

    def _half_from_lds(self, handler):
        """The handler of an LDS instruction on RDNA. What is loaded to one half of a register (D16) the emulator puts in
        the lower one, whichever is meant, and clears the other, which the instruction keeps."""
        def compile_instruction(instruction, context):
            if not re.fullmatch(r"DS_LOAD_[UI]\d+_D16(_HI)?", self.emu._op_name(instruction)):
                return handler(instruction, context)
            parse = self.emu.parse_pcode

            def parse_with_register(pcode, sources, *rest):
                register = context.inst_field(type(instruction).vdst)
                kept = context.rvgpr_dyn(register, sources["laneId"])
                variables, _ = parse(pcode, {**sources, "RETURN_DATA": kept}, *rest)
                return variables, [("RETURN_DATA.b32", variables["RETURN_DATA"])]

            self.emu.parse_pcode = parse_with_register
            try:
                return handler(instruction, context)
            finally:
                self.emu.parse_pcode = parse
        return compile_instruction

    def _whole_halves(self, handler):
        """The handler of a matrix product of f16 or bf16 on CDNA. The emulator takes subnormals of f16 for 0, infinities
        and NaN for large numbers, and accumulator registers that hold A or B for vector registers; it has a product of
        f32 with the same layout, which is fed the widened elements. So subnormals count on gfx90a too, which really
        takes them for 0 (kernels/device/matrix_core.h).
        """
        def compile_instruction(instruction, context):
            emu = self.emu
            product = re.fullmatch(r"(V_MFMA_F32_16X16X16_)(B?)F16", emu._op_name(instruction))
            if not product:
                return handler(instruction, context)
            context_type, read, op_name = type(context), type(context).rvgpr_dyn, emu._op_name
            elements = {}
            for field, accumulators in (("src0", instruction.acc & 1), ("src1", instruction.acc & 2)):
                offset = context.inst_field(getattr(type(instruction), field))
                for i in range(4):
                    word = offset - emu._c(256 - i // 2)
                    elements[offset - emu._c(256 - i)] = (word, i % 2, accumulators)

            def read_element(self_, register, *place):
                if register not in elements:
                    return read(self_, register, *place)
                word, half, accumulators = elements[register]
                bits = (context_type.raccvgpr_dyn if accumulators else read)(self_, word, *place)
                bits = (bits >> emu._c(16 * half)) & emu._c(0xffff)
                return bits << emu._c(16) if product.group(2) else self._widened(bits)

            context_type.rvgpr_dyn, emu._op_name = read_element, lambda _: product.group(1) + "F32"
            try:
                return handler(instruction, context)
            finally:
                context_type.rvgpr_dyn, emu._op_name = read, op_name
        return compile_instruction

    def _widened(self, half):
        """The bits of an f16 as those of an f32, exactly."""
        c, f32 = self.emu._c, self.emu.dtypes.float32
        exponent, fraction = (half >> c(10)) & c(31), half & c(0x3ff)
        subnormal = (fraction.cast(f32) * self.emu.UOp.const(2.0**-24, f32)).bitcast(self.emu.dtypes.uint32)
        biased = exponent.eq(c(31)).where(c(255), exponent + c(112))
        magnitude = exponent.eq(c(0)).where(subnormal, (biased << c(23)) | (fraction << c(13)))
        return magnitude | (half >> c(15)) << c(31)

    def _lane_of_dpp(self, lane, control, *masks):
        """The source of a lane, whether it is enabled and whether it exists; with ROW_SHARE, one lane for a row."""
        if control >> 4 != 0x15:
            return self._dpp16_ctrl(lane, control, *masks)
        int_ = self.emu.dtypes.int
        _, enabled, exists = self._dpp16_ctrl(lane, 0xe4, *masks)  # QUAD_PERM that leaves all where it is
        return (lane.cast(int_) & self.emu._c(~15, int_)) + self.emu._c(control & 15, int_), enabled, exists

    def _parse_within_lds(self, pcode, sources, *rest):
        """Pseudo-code of an LDS access, with addresses below 64 KiB: the emulator reads at those of inactive lanes too,
        which may be anything."""
        if "_lds" in sources:
            low = self.emu.UOp.const(LDS_BYTES - 1, self.emu.dtypes.uint32)
            names = [name for name in ("ADDR", "ADDR_BASE", "vgpr_a") if name in sources]
            sources = {**sources, **{name: sources[name] & low for name in names}}
        return self._parse_pcode(pcode, sources, *rest)

    def _store_dword(self, memory, address, value, active, address_bits=32, data_bits=32):
        """The emulator's store, which drops the two low bits of a dword's address; AMD's memory takes any address."""
        if data_bits != 32 or address_bits != 64:
            return self._mem_store(memory, address, value, active, address_bits, data_bits)
        emu = self.emu
        u64 = emu.dtypes.uint64
        shift = (address & emu.UOp.const(3, u64)) * emu.UOp.const(8, u64)
        wide = emu._to_u32(value).cast(u64) << shift
        kept = (emu.UOp.const(0xffffffff, u64) << shift) ^ emu.UOp.const(0xffffffffffffffff, u64)
        stores = []
        # A store of several dwords writes the words between them twice, each time a part of one.
        memory = memory.after(*self._stores) if self._stores else memory
        for part, writes in ((0, active), (1, active & shift.ne(emu.UOp.const(0, u64)))):
            place = memory.index(((address >> emu.UOp.const(2, u64)) + emu.UOp.const(part, u64)).valid(writes))
            high = emu.UOp.const(32 * part, u64)
            word = (place & (kept >> high).cast(emu.dtypes.uint32)) | (wide >> high).cast(emu.dtypes.uint32)
            stores.append(place.store(writes.where(word, place)))
        self._stores.extend(stores)
        return stores

    def _user_registers(self, properties, packet, arguments, private_bytes):
        """Scalar registers that a wave starts with, in the order of the kernel code properties."""
        registers = []

        def pair(number):
            registers.extend((number & 0xffffffff, number >> 32))

        if properties & 1 << 0:  # private segment buffer; no kernel of ours uses scratch through it
            registers.extend((0, 0, 0, 0))
        if properties & 1 << 1:
            pair(ctypes.addressof(packet))
        if properties & 1 << 2:  # queue
            pair(0)
        if properties & 1 << 3:
            pair(ctypes.addressof(arguments))
        if properties & 1 << 4:  # dispatch id
            pair(0)
        if properties & 1 << 5:  # flat scratch
            pair(0)
        if properties & 1 << 6:
            registers.append(private_bytes)
        return registers

    def launch(self, request):
        name, grid, block = request["kernel"], request["grid"], request["block"]
        code = next((code for code in self.objects if name in code.kernels), None)
        if code is None:
            return {"missing": name}
        descriptor = code.symbols[name + ".kd"]
        lds_bytes, private_bytes = struct.unpack_from("<II", code.memory, descriptor)
        entry, = struct.unpack_from("<q", code.memory, descriptor + 16)
        _, rsrc1, rsrc2, properties, preload = struct.unpack_from("<IIIHH", code.memory, descriptor + 44)
        if preload & 0x7f:
            raise Refused("the kernel wants preloaded arguments, which are not implemented")
        lds_bytes += request["shared_bytes"]
        if lds_bytes > LDS_BYTES:
            raise Refused(f"the kernel wants {lds_bytes} bytes of LDS, there are {LDS_BYTES}")
        # All of it whatever the kernel wants, and as much again for an instruction's own offset.
        granules = 2 * LDS_BYTES // LDS_GRANULE + 1
        rsrc2 = rsrc2 & ~(0x1ff << 15) | granules << 15
        # The emulator flushes subnormals whatever the kernel asks for; rsrc1 has the mode of f32.
        keeps_subnormals = rsrc1 >> 16 & 3 == 3
        self.emu._get_ftz_lib = (lambda: (None, 0)) if keeps_subnormals else self.flush_library

        explicit = bytearray.fromhex(request["args"])
        with Buffers(request["buffers"]) as addresses:
            for offset, buffer, within in request["pointers"]:
                struct.pack_into("<Q", explicit, offset, addresses[buffer] + within)
            arguments = kernel_arguments(code.kernels[name], bytes(explicit), grid, block, request["shared_bytes"])
            threads = [blocks * size for blocks, size in zip(grid, block)]
            packet = ctypes.create_string_buffer(
                struct.pack("<HHHHHHIIIIIQQQQ", 0, 3, *block, 0, *threads, private_bytes, lds_bytes, 0, 0, 0, 0))
            registers = self._user_registers(properties, packet, arguments, private_bytes)
            start = time.perf_counter()
            self.emu.run_asm(code.base + descriptor + entry, code.bytes, *grid, *block, ctypes.addressof(arguments),
                             rsrc2=rsrc2, scratch_size=private_bytes, arch=self.family, user_data=registers)
            return {"ran": True, "seconds": time.perf_counter() - start}

    def last_decoded(self):
        """Where the instruction stands that the emulator met last for the first time."""
        for code in self.objects:
            address = self._decoded - code.base
            if 0 <= address < code.bytes:
                return {"code_object": code.path, "address": address}
        return {}  # astray


def instruction_of(error):
    """The instruction that the emulator failed to decode or to compile, as its exception tells; else None."""
    text = str(error)
    found = re.search(r"Failed to compile <?(\w+)|unimplemented instruction type: \w+ (\w+)", text)
    if found:
        return (found.group(1) or found.group(2)).lower()
    found = re.search(r"unknown \w+ format word=(\w+)", text)
    return f"the encoding {found.group(1)}" if found else None


def answer(emulator, line):
    try:
        return emulator.launch(json.loads(line))
    except Refused as error:
        return {"error": str(error)}
    except Exception as error:  # whatever the emulator meets; the driver goes on with the next launch
        name = instruction_of(error)
        if name:
            return {"not_emulated": name, **emulator.last_decoded()}
        return {"error": f"{type(error).__name__}: {error}".replace("\n", " ")}


def main():
    # Answers alone go to the stdout that the driver reads.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)

    def say(message):
        answers.write(json.dumps(message) + "\n")
        answers.flush()

    try:
        emulator = Emulator(sys.argv[1], sys.argv[2:])
    except Exception as error:
        say({"error": f"{type(error).__name__}: {error}".replace("\n", " ")})
        return 3
    say({"ready": True})
    for line in sys.stdin:
        say(answer(emulator, line))
    return 0


if __name__ == "__main__":
    sys.exit(main())
