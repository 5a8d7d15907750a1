#include "model_runner/gguf.h"

#include "model_runner/config.h"
#include "model_runner/inspect.h"
#include "model_runner/tokenizer.h"
#include "tests/model_runner/gguf_builder.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <limits>
#include <nlohmann/json.hpp>
#include <random>
#include <type_traits>

namespace hipforge::runner::testing {
namespace {

static_assert(std::is_nothrow_move_constructible_v<GgufFile> && !std::is_copy_constructible_v<GgufFile>);
static_assert(std::is_nothrow_move_constructible_v<MappedFile> && !std::is_copy_constructible_v<MappedFile>);

// What an attempt to open the image says; empty if it succeeds. Anything but an InputError of a file escapes.
std::string refusal(const Image& image) {
  try {
    const GgufFile file = GgufFile::over(image);
    return "";
  } catch (const InputError& error) {
    EXPECT_EQ(error.fault(), InputFault::kFile);
    EXPECT_EQ(error.exit_code(), 3);
    return error.what();
  }
}

template <class Call>
std::string error_of(Call&& call) {
  try {
    call();
  } catch (const InputError& error) {
    return error.what();
  }
  return "";
}

#define EXPECT_REFUSED(image, text)                                              \
  do {                                                                           \
    const std::string said = refusal(image);                                     \
    EXPECT_NE(said.find(text), std::string::npos) << "said: \"" << said << "\""; \
    EXPECT_TRUE(said.starts_with("gguf: "));                                     \
    EXPECT_EQ(said.find('\n'), std::string::npos);                               \
  } while (false)

GgufBuilder small_builder() {
  GgufBuilder builder;
  builder.string("general.architecture", "llama").u32("answer", 42).f32("half", 0.5f).boolean("yes", true);
  builder.strings("words", {"one", "two", "three"}).i32s("numbers", {1, -2, 3});
  builder.tensor("a", {4, 3}).tensor("b", {32}, 8).tensor("c", {7}, 1);
  return builder;
}

Image image_at(const std::filesystem::path& path, const Image& image) {
  std::ofstream(path, std::ios::binary)
      .write(reinterpret_cast<const char*>(image.data()), static_cast<std::streamsize>(image.size()));
  return image;
}

std::filesystem::path scratch_path(const std::string& name) {
  return std::filesystem::path(::testing::TempDir()) /
         (name + "." + ::testing::UnitTest::GetInstance()->current_test_info()->name());
}

TEST(Gguf, ReadsWhatWasWritten) {
  GgufBuilder builder = small_builder();
  builder.tensors[0].data[5] = std::byte{7};
  for (const std::uint32_t version : {2u, 3u}) {
    builder.version = version;
    const Image image = builder.build();
    const GgufFile file = GgufFile::over(image);
    EXPECT_EQ(file.version(), version);
    EXPECT_EQ(file.alignment(), 32u);
    EXPECT_EQ(file.size_bytes(), image.size());
    EXPECT_EQ(file.required_string("general.architecture"), "llama");
    EXPECT_EQ(file.required_u32("answer"), 42u);
    EXPECT_EQ(file.required_f32("half"), 0.5f);
    EXPECT_EQ(file.optional_bool("yes"), true);
    EXPECT_EQ(file.required_strings("words"), (std::vector<std::string_view>{"one", "two", "three"}));
    EXPECT_EQ(file.optional_i32s("numbers"), (std::vector<std::int32_t>{1, -2, 3}));
    ASSERT_EQ(file.tensors().size(), 3u);
    const TensorInfo& a = file.tensor("a");
    EXPECT_EQ(a.elements, 12u);
    EXPECT_EQ(a.bytes, 48u);
    EXPECT_EQ(a.shape_text(), "[4, 3]");
    EXPECT_EQ(a.offset % 32, 0u);
    EXPECT_EQ(file.data(a)[5], std::byte{7});
    EXPECT_EQ(file.tensor("b").bytes, 34u);
    EXPECT_TRUE(file.tensor("b").is(GgmlType::kQ8_0));
    EXPECT_EQ(file.tensor("c").bytes, 14u);
    EXPECT_EQ(file.data(file.tensor("c")).size(), 14u);
    EXPECT_EQ(file.find("nothing"), nullptr);
    EXPECT_EQ(file.find_tensor("d"), nullptr);
    EXPECT_EQ(file.optional_u32("nothing"), std::nullopt);
    EXPECT_EQ(file.optional_i32s("nothing"), std::nullopt);
  }
}

TEST(Gguf, EveryScalarType) {
  GgufBuilder builder;
  builder.meta("u8", MetaType::kU8, ByteWriter().put<std::uint8_t>(200));
  builder.meta("i8", MetaType::kI8, ByteWriter().put<std::int8_t>(-100));
  builder.meta("u16", MetaType::kU16, ByteWriter().put<std::uint16_t>(60000));
  builder.meta("i16", MetaType::kI16, ByteWriter().put<std::int16_t>(-30000));
  builder.meta("i32", MetaType::kI32, ByteWriter().put<std::int32_t>(7));
  builder.meta("u64", MetaType::kU64, ByteWriter().put<std::uint64_t>(4294967295u));
  builder.meta("big", MetaType::kU64,
               ByteWriter().put<std::uint64_t>(std::numeric_limits<std::uint64_t>::max()));
  builder.meta("i64", MetaType::kI64,
               ByteWriter().put<std::int64_t>(std::numeric_limits<std::int64_t>::min()));
  builder.meta("f64", MetaType::kF64, ByteWriter().put(0.25));
  builder.meta("huge", MetaType::kF64, ByteWriter().put(1e300));
  builder.f32("nan", std::numeric_limits<float>::quiet_NaN());
  const Image image = builder.build();
  const GgufFile file = GgufFile::over(image);
  EXPECT_EQ(file.required_u32("u8"), 200u);
  EXPECT_EQ(file.required_u32("u16"), 60000u);
  EXPECT_EQ(file.required_u32("i32"), 7u);
  EXPECT_EQ(file.required_u32("u64"), 4294967295u);
  EXPECT_EQ(file.required_f32("f64"), 0.25f);
  EXPECT_EQ(file.find("big")->integer_text(), "18446744073709551615");
  EXPECT_EQ(file.find("i64")->integer_text(), "-9223372036854775808");
  EXPECT_EQ(error_of([&] { (void)file.required_u32("i8"); }), "gguf: i8 is -100, legal are 0 to 4294967295");
  EXPECT_EQ(error_of([&] { (void)file.required_u32("big"); }),
            "gguf: big is 18446744073709551615, legal are 0 to 4294967295");
  EXPECT_NE(error_of([&] { (void)file.required_f32("huge"); }).find("a finite f32 is needed"),
            std::string::npos);
  EXPECT_NE(error_of([&] { (void)file.required_f32("nan"); }).find("a finite f32 is needed"),
            std::string::npos);
}

TEST(Gguf, GettersNameTheKeyAndWhatTheyFound) {
  const Image image = small_builder().build();
  const GgufFile file = GgufFile::over(image);
  EXPECT_EQ(error_of([&] { (void)file.required_u32("none"); }), "gguf: none is missing");
  EXPECT_EQ(error_of([&] { (void)file.required_f32("none"); }), "gguf: none is missing");
  EXPECT_EQ(error_of([&] { (void)file.required_string("none"); }), "gguf: none is missing");
  EXPECT_EQ(error_of([&] { (void)file.required_strings("none"); }), "gguf: none is missing");
  EXPECT_EQ(error_of([&] { (void)file.tensor("none"); }), "gguf: tensor none is missing");
  EXPECT_EQ(error_of([&] { (void)file.required_u32("half"); }),
            "gguf: half is of type f32, an integer from 0 to 4294967295 is needed");
  EXPECT_EQ(error_of([&] { (void)file.required_f32("answer"); }),
            "gguf: answer is u32 42, a float is needed");
  EXPECT_EQ(error_of([&] { (void)file.optional_bool("answer"); }),
            "gguf: answer is u32 42, a bool is needed");
  EXPECT_EQ(error_of([&] { (void)file.required_string("words"); }),
            "gguf: words is an array of 3 string, a string is needed");
  EXPECT_EQ(error_of([&] { (void)file.required_strings("numbers"); }),
            "gguf: numbers is an array of 3 i32, an array of strings is needed");
  EXPECT_EQ(error_of([&] { (void)file.optional_i32s("words"); }),
            "gguf: words is an array of 3 string, an array of integers is needed");
}

TEST(Gguf, NestedArrays) {
  ByteWriter value = GgufBuilder::array_header(MetaType::kArray, 2);
  for (const char* word : {"x", "yz"}) {
    const ByteWriter inner = GgufBuilder::array_header(MetaType::kString, 1).put_string(word);
    value.image.insert(value.image.end(), inner.image.begin(), inner.image.end());
  }
  const Image image = GgufBuilder().meta("nested", MetaType::kArray, value).u32("after", 5).build();
  const GgufFile file = GgufFile::over(image);
  EXPECT_EQ(file.required_u32("after"), 5u);
  MetaArrayReader outer(*file.find("nested"));
  MetaArrayReader first(outer.next());
  EXPECT_EQ(first.next().as_string(), "x");
  EXPECT_TRUE(first.done());
  MetaArrayReader second(outer.next());
  EXPECT_EQ(second.next().as_string(), "yz");
  EXPECT_TRUE(outer.done());

  ByteWriter deep;
  for (int depth = 0; depth < 5; ++depth)
    deep.put(static_cast<std::uint32_t>(MetaType::kArray)).put<std::uint64_t>(1);
  deep.put(static_cast<std::uint32_t>(MetaType::kU8)).put<std::uint64_t>(0);
  EXPECT_REFUSED(GgufBuilder().meta("deep", MetaType::kArray, deep).build(),
                 "deep nests arrays more than 4 deep");
}

TEST(Gguf, HeaderErrors) {
  GgufBuilder builder = small_builder();
  builder.magic = "GGML";
  EXPECT_REFUSED(builder.build(), "not a GGUF file: it starts with \"GGML\", not \"GGUF\"");
  builder.magic = "GGUF";
  for (const std::uint32_t version : {0u, 1u, 4u, 0x12345678u}) {
    builder.version = version;
    EXPECT_REFUSED(builder.build(),
                   "version " + std::to_string(version) + " is not supported, supported are 2 and 3");
  }
  builder.version = 0x03000000u;
  EXPECT_REFUSED(builder.build(), "the file is big-endian");
  EXPECT_REFUSED(Image{}, "the magic needs 4 bytes at byte 0, file has 0");
}

TEST(Gguf, CountsAreCheckedBeforeAnythingIsAllocated) {
  for (const std::uint64_t count : {std::uint64_t{1} << 40, std::numeric_limits<std::uint64_t>::max()}) {
    GgufBuilder builder = small_builder();
    builder.tensor_count = count;
    EXPECT_REFUSED(builder.build(), std::to_string(count) + " tensors need at least 32 bytes each");
    builder = small_builder();
    builder.metadata_count = count;
    EXPECT_REFUSED(builder.build(), std::to_string(count) + " metadata entries need at least 13 bytes each");
    for (const MetaType type : {MetaType::kU8, MetaType::kF64, MetaType::kString, MetaType::kArray}) {
      EXPECT_REFUSED(
          GgufBuilder().meta("list", MetaType::kArray, GgufBuilder::array_header(type, count)).build(),
          "list announces " + std::to_string(count) + " elements");
    }
    EXPECT_REFUSED(GgufBuilder().meta("text", MetaType::kString, ByteWriter().put(count)).build(),
                   "text needs " + std::to_string(count) + " bytes");
  }
}

TEST(Gguf, MetadataErrors) {
  EXPECT_REFUSED(GgufBuilder().u32("twice", 1).u32("other", 1).u32("twice", 2).build(),
                 "metadata key twice appears twice");
  EXPECT_REFUSED(GgufBuilder().u32("", 1).build(),
                 "the key of metadata entry 0 has 0 bytes, legal are 1 to 65535");
  EXPECT_REFUSED(GgufBuilder().u32(std::string(65536, 'k'), 1).build(), "has 65536 bytes");
  EXPECT_EQ(refusal(GgufBuilder().u32(std::string(65535, 'k'), 1).build()), "");
  EXPECT_REFUSED(
      GgufBuilder().meta("odd", static_cast<MetaType>(13), ByteWriter().put<std::uint32_t>(0)).build(),
      "odd has value type 13, known are 0 to 12");
  EXPECT_REFUSED(GgufBuilder()
                     .meta("odd", MetaType::kArray, GgufBuilder::array_header(static_cast<MetaType>(99), 0))
                     .build(),
                 "odd has value type 99");
  EXPECT_REFUSED(GgufBuilder().meta("flag", MetaType::kBool, ByteWriter().put<std::uint8_t>(2)).build(),
                 "flag holds a bool of value 2");
  EXPECT_REFUSED(
      GgufBuilder()
          .meta("flags", MetaType::kArray,
                GgufBuilder::array_header(MetaType::kBool, 2).put<std::uint8_t>(1).put<std::uint8_t>(255))
          .build(),
      "flags holds a bool of value 255");
  EXPECT_REFUSED(GgufBuilder().u32("general.alignment", 0).build(), "general.alignment is 0");
  EXPECT_REFUSED(GgufBuilder().u32("general.alignment", 48).build(),
                 "general.alignment is 48, legal are the powers");
  EXPECT_REFUSED(GgufBuilder().u32("general.alignment", 1u << 31).build(), "general.alignment is 2147483648");
  EXPECT_REFUSED(GgufBuilder().string("general.alignment", "32").build(),
                 "general.alignment is of type string");
}

TEST(Gguf, NamesInMessagesAreMadePrintable) {
  const Image image = GgufBuilder().u32("bad\n\x1b\xff", 1).u32("bad\n\x1b\xff", 1).build();
  EXPECT_REFUSED(image, "metadata key bad\\x0a\\x1b\\xff appears twice");
  EXPECT_EQ(printable("caf\xc3\xa9 \xc2\x9b"), "caf\xc3\xa9 \\xc2\\x9b");
  EXPECT_EQ(printable("abcdef", 3), "abc...");
}

TEST(Gguf, TensorEntryErrors) {
  EXPECT_REFUSED(GgufBuilder().tensor("t", {4}).tensor("u", {4}).tensor("t", {4}).build(),
                 "tensor t appears twice");
  EXPECT_REFUSED(GgufBuilder().tensor("", {4}).build(),
                 "the name of tensor 0 has 0 bytes, legal are 1 to 64");
  EXPECT_REFUSED(GgufBuilder().tensor(std::string(65, 'n'), {4}).build(),
                 "the name of tensor 0 has 65 bytes");
  EXPECT_EQ(refusal(GgufBuilder().tensor(std::string(64, 'n'), {4}).build()), "");
  EXPECT_REFUSED(GgufBuilder().tensor("t", {}).build(), "tensor t has 0 dimensions, legal are 1 to 4");
  EXPECT_REFUSED(GgufBuilder().tensor("t", {1, 1, 1, 1, 1}).build(),
                 "tensor t has 5 dimensions, legal are 1 to 4");
  EXPECT_REFUSED(GgufBuilder().tensor("t", {4, 0, 2}).build(), "tensor t has a dimension of 0");
  EXPECT_REFUSED(GgufBuilder().tensor("t", {4}, 4).build(),
                 "tensor t has type 4, which is not a known tensor type");
  EXPECT_REFUSED(GgufBuilder().tensor("t", {4}, 4000000000u).build(), "tensor t has type 4000000000");
  EXPECT_REFUSED(GgufBuilder().tensor("t", {33}, 8).build(),
                 "tensor t has rows of 33 elements, type Q8_0 needs a multiple of 32");
  // The product of the dimensions wraps to a small number in 64 bits.
  GgufBuilder builder;
  builder.tensors.push_back(
      {"t", {std::uint64_t{1} << 32, std::uint64_t{1} << 32}, 0, Image(64), std::nullopt});
  EXPECT_REFUSED(builder.build(), "has more than 2^63 - 1 elements");
  builder.tensors[0].dims = {std::uint64_t{1} << 62};
  EXPECT_REFUSED(builder.build(), "and type F32 has more than 2^64 - 1 bytes");
  builder.tensors[0].dims = {(std::uint64_t{1} << 62) - 16};
  EXPECT_REFUSED(builder.build(), "tensor t has 18446744073709551552 bytes, file has");
}

TEST(Gguf, TensorDataErrors) {
  GgufBuilder builder = GgufBuilder().tensor("first", {16}).tensor("second", {16});
  const std::size_t size = builder.build().size();
  const std::string file_has = "file has " + std::to_string(size);
  builder.tensors[1].dims = {17};
  EXPECT_REFUSED(builder.build(), "tensor second ends at byte " + std::to_string(size + 4) + ", " + file_has);
  builder.tensors[1].dims = {16};
  builder.tensors[1].offset = 33;
  EXPECT_REFUSED(builder.build(),
                 "tensor second lies at offset 33, which is not a multiple of the alignment 32");
  builder.tensors[1].offset = 32;
  EXPECT_REFUSED(builder.build(), "tensors first and second overlap");
  builder.tensors[1].offset = 0;
  EXPECT_REFUSED(builder.build(), "overlap");
  builder.tensors[1].offset = 4096;
  EXPECT_REFUSED(builder.build(), "tensor second starts 4096 bytes after the start of the data at byte");
  builder.tensors[1].offset = std::numeric_limits<std::uint64_t>::max() - 31;
  EXPECT_REFUSED(builder.build(), "tensor second starts 18446744073709551584 bytes after");
  // Metadata that ends within the last alignment block leaves no data section at all.
  GgufBuilder empty;
  empty.tensors.push_back({"t", {1}, 24, {}, std::nullopt});
  Image cut = empty.build();
  cut.resize(57);
  EXPECT_REFUSED(cut, "tensor t starts 0 bytes after the start of the data at byte 64, file has 57");
}

TEST(Gguf, AlignmentIsTheFilesOwn) {
  for (const std::uint32_t alignment : {1u, 8u, 64u, 4096u}) {
    GgufBuilder builder;
    builder.u32("general.alignment", alignment).tensor("a", {3}).tensor("b", {5});
    builder.alignment = alignment;
    const Image image = builder.build();
    const GgufFile file = GgufFile::over(image);
    EXPECT_EQ(file.alignment(), alignment);
    EXPECT_EQ(file.tensor("b").offset % alignment, 0u);
  }
}

TEST(Gguf, SizesOfTensorTypes) {
  const auto bytes_of = [](std::uint32_t type, std::uint64_t elements) {
    const GgmlTypeTraits* const traits = ggml_type_traits(type);
    return elements / traits->block_elements * traits->block_bytes;
  };
  EXPECT_EQ(bytes_of(0, 256), 1024u);
  EXPECT_EQ(bytes_of(30, 256), 512u);
  EXPECT_EQ(bytes_of(2, 256), 144u);   // Q4_0: 32 nibbles and an f16
  EXPECT_EQ(bytes_of(8, 256), 272u);   // Q8_0: 32 bytes and an f16
  EXPECT_EQ(bytes_of(12, 256), 144u);  // Q4_K
  EXPECT_EQ(bytes_of(14, 256), 210u);  // Q6_K
  EXPECT_EQ(bytes_of(39, 256), 136u);  // MXFP4
  for (const std::uint32_t gone : {4u, 5u, 31u, 32u, 33u, 36u, 37u, 38u, 1000u}) {
    EXPECT_EQ(ggml_type_traits(gone), nullptr) << gone;
  }
  for (std::uint32_t id = 0; id < 64; ++id) {
    if (const auto* traits = ggml_type_traits(id)) {
      EXPECT_EQ(traits->id, id);
    }
  }
}

TEST(Gguf, FilesThatAreNone) {
  const auto path = scratch_path("file");
  EXPECT_EQ(naming("f.gguf", [] { return 5; }), 5);
  EXPECT_EQ(error_of([&] { (void)naming("f.gguf", [&] { return GgufFile::open("/nonexistent/x.gguf"); }); }),
            "f.gguf: cannot open: No such file or directory");
  EXPECT_NE(error_of([&] { (void)GgufFile::open("/nonexistent/x.gguf"); }).find("cannot open: No such file"),
            std::string::npos);
  EXPECT_NE(error_of([&] { (void)GgufFile::open(::testing::TempDir()); }).find("is a directory"),
            std::string::npos);
  EXPECT_NE(error_of([&] { (void)GgufFile::open("/dev/zero"); }).find("is not a regular file"),
            std::string::npos);
  image_at(path, {});
  EXPECT_NE(error_of([&] { (void)GgufFile::open(path); }).find("is empty"), std::string::npos);
  std::filesystem::remove(path);
}

TEST(Gguf, MappedFileMovesAndDropsPages) {
  const auto path = scratch_path("mapped");
  GgufBuilder builder;
  builder.tensor("big", {65536}, 24).tensor("after", {64}, 24);
  for (std::size_t i = 0; i < 65536; ++i) builder.tensors[0].data[i] = static_cast<std::byte>(i * 7 % 256);
  const Image image = image_at(path, builder.build());
  GgufFile file = GgufFile::open(path);
  const GgufFile moved = std::move(file);
  const auto data = moved.data(moved.tensor("big"));
  EXPECT_EQ(data[1000], static_cast<std::byte>(7000 % 256));
  moved.drop_pages(moved.tensor("big"));
  moved.drop_pages(moved.tensor("after"));
  EXPECT_TRUE(std::equal(data.begin(), data.end(), builder.tensors[0].data.begin()));
  std::filesystem::remove(path);

  // An image that the caller holds must not lose a byte to drop_pages.
  const GgufFile held = GgufFile::over(image);
  held.drop_pages(held.tensor("big"));
  EXPECT_TRUE(std::equal(data.begin(), data.end(), held.data(held.tensor("big")).begin()));
}

// Everything that reads a file. Lets through InputError alone.
void read_all(const Image& image) {
  try {
    const GgufFile file = GgufFile::over(image);
    (void)inspect_text(file, "x");
    (void)inspect_json(file, "x");
    for (const TensorInfo& tensor : file.tensors()) {
      const auto data = file.data(tensor);
      if (!data.empty()) {
        const volatile auto first = data.front();
        const volatile auto last = data.back();
        (void)first;
        (void)last;
      }
    }
    try {
      const Tokenizer tokenizer(file);
      const auto ids = tokenizer.encode("the thing's and <user> 12", {.parse_special = true});
      (void)tokenizer.decode(ids, true);
    } catch (const InputError&) {
    }
    (void)read_llama_config(file);
  } catch (const InputError& error) {
    EXPECT_EQ(std::string_view(error.what()).find('\n'), std::string_view::npos);
  }
}

TEST(GgufHostile, TruncatedAtEveryByte) {
  const Image image = small_builder().build();
  EXPECT_EQ(refusal(image), "");
  for (std::size_t size = 0; size < image.size(); ++size) {
    // A copy of its own, so that a read past the end is a read past an allocation.
    const Image cut(image.begin(), image.begin() + static_cast<std::ptrdiff_t>(size));
    EXPECT_NE(refusal(cut), "") << size;
  }
}

TEST(GgufHostile, ModelTruncatedAtManyBytes) {
  const Image image = TinyModel().builder().build();
  for (std::size_t size = 0; size < image.size(); size += 37) {
    const Image cut(image.begin(), image.begin() + static_cast<std::ptrdiff_t>(size));
    EXPECT_NE(refusal(cut), "") << size;
  }
}

TEST(GgufHostile, EveryByteOfTheHeaderReplaced) {
  const Image image = small_builder().build();
  const std::size_t header = image.size() - 128;
  for (std::size_t at = 0; at < header; ++at) {
    for (const unsigned value : {0x00u, 0x01u, 0x7Fu, 0x80u, 0xFFu}) {
      Image mutant = image;
      mutant[at] = static_cast<std::byte>(value);
      read_all(mutant);
    }
  }
}

TEST(GgufHostile, Mutants) {
  // Few layers and tokens: the smaller the file, the more of its structure a mutation hits.
  TinyModel model;
  model.layers = 1;
  model.vocabulary = Vocabulary();
  model.vocabulary.word("the").special("<|begin|>", 3).special("<|endoftext|>", 3).special("<user>", 4);
  const Image structure = small_builder().build();
  const Image whole = model.builder().build();
  std::size_t metadata_end = 0;
  {
    const GgufFile file = GgufFile::over(whole);
    metadata_end = file.tensors()[0].offset;
  }
  std::mt19937_64 random(20260107);
  const auto below = [&](std::uint64_t bound) { return static_cast<std::size_t>(random() % bound); };
  constexpr std::array<std::uint64_t, 8> kNasty = {
      0, 1, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 0x7FFFFFFFFFFFFFFF, 0x8000000000000000, 0xFFFFFFFFFFFFFFFF};
  for (int i = 0; i < 24000; ++i) {
    const bool use_model = i % 4 == 0;
    Image mutant = use_model ? whole : structure;
    const std::size_t reach = use_model ? metadata_end : mutant.size();
    for (std::size_t edits = 1 + below(3); edits > 0; --edits) {
      const std::size_t at = below(std::min(reach, mutant.size()));
      switch (below(6)) {
        case 0:
          mutant[at] ^= static_cast<std::byte>(1u << below(8));
          break;
        case 1:
          mutant[at] = static_cast<std::byte>(random());
          break;
        case 2: {
          const std::uint64_t value = kNasty[below(kNasty.size())];
          const std::size_t width = std::min<std::size_t>(below(2) == 0 ? 4 : 8, mutant.size() - at);
          std::memcpy(mutant.data() + at, &value, width);
          break;
        }
        case 3:
          mutant.resize(at + 1);
          break;
        case 4: {
          const std::size_t count = std::min<std::size_t>(1 + below(16), mutant.size() - at);
          mutant.erase(mutant.begin() + static_cast<std::ptrdiff_t>(at),
                       mutant.begin() + static_cast<std::ptrdiff_t>(at + count));
          if (mutant.empty()) mutant.push_back(std::byte{0});
          break;
        }
        default: {
          const std::size_t from = below(mutant.size());
          const std::size_t count = std::min({1 + below(16), mutant.size() - at, mutant.size() - from});
          std::memmove(mutant.data() + at, mutant.data() + from, count);
          break;
        }
      }
    }
    mutant.shrink_to_fit();
    read_all(mutant);
  }
}

TEST(Inspect, ListsEverythingOnce) {
  GgufBuilder builder = small_builder();
  builder.i32s("long", {1, 2, 3, 4, 5, 6, 7, 8, 9}).string("text", "line\nbreak");
  builder.meta("u64", MetaType::kU64, ByteWriter().put(std::numeric_limits<std::uint64_t>::max()));
  builder.f32("tenth", 0.1f).f32("inf", std::numeric_limits<float>::infinity()).tensor("q", {256, 2}, 12);
  const Image image = builder.build();
  const GgufFile file = GgufFile::over(image);
  const std::string text = inspect_text(file, "some.gguf");
  for (const char* part :
       {"some.gguf", "GGUF version 3", "\"llama\"", "[\"one\", \"two\", \"three\"]",
        "[1, 2, 3, 4, 5, 6, 7, 8, ...]", "i32[9]", "line\\x0abreak", "18446744073709551615", "Q4_K",
        "[256, 2]", "288 bytes at", "4 tensors, 563 elements"}) {
    EXPECT_NE(text.find(part), std::string::npos) << part << "\n" << text;
  }
  const auto json = nlohmann::json::parse(inspect_json(file, "some.gguf").dump());
  EXPECT_EQ(json["metadata"].size(), file.metadata().size());
  EXPECT_EQ(json["metadata"][4]["value"]["count"], 3);
  EXPECT_EQ(json["metadata"][4]["value"]["first"][2], "three");
  EXPECT_EQ(json["metadata"][8]["value"], std::numeric_limits<std::uint64_t>::max());
  EXPECT_EQ(json["metadata"][9]["value"], 0.1);
  EXPECT_EQ(json["metadata"][10]["value"], "inf");
  EXPECT_EQ(json["tensors"][3]["shape"], (std::vector<int>{256, 2}));
  EXPECT_EQ(json["tensors"][3]["type"], "Q4_K");
}

}  // namespace
}  // namespace hipforge::runner::testing
