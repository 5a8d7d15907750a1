#include "kernels/kv_append.h"

#include "harness/sweep/metamorphic.h"
#include "harness/sweep/op_cases.h"
#include "kernels/runtime/device_error.h"
#include "reference/kv_append.h"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>
#include <sstream>
#include <utility>

namespace hipforge::harness {

constexpr const char* kKvAppendBound = R"(
The cache after the append is exact: bound 0.)";

// k_cache and v_cache, within kKvAppendBound.
Oracle<KvAppendParams> expect;

namespace {

enum class Fault {
  kNone,
  kPageNegative,
  kPageTooLarge,
  kOverCapacity,     // more tokens than the block table has slots
  kShorterThanRows,  // kv_len under the rows of the sequence
  kOffsetsDecrease,
  kOffsetsLeaveTensor,
};

struct Spec : SpecBase {
  std::string what;                 // the scenario, a feature
  std::vector<std::int64_t> added;  // rows of each sequence
  std::vector<std::int64_t> past;   // tokens that each has already
  std::int64_t kv_heads = 1;
  std::int64_t head_dim = 8;
  std::int64_t page_size = 4;
  std::int64_t max_pages = 4;
  std::int64_t padding = 0;  // rows before the first sequence, and as many after the last
  Fault fault = Fault::kNone;
  double scale = 1.0;       // of the rows
  bool non_finite = false;  // NaN and infinities in the rows, which survive
  // What is left of `added` and `past` in a smaller case; −1: all.
  std::int64_t sequences = -1;
  std::int64_t most_added = -1;
  std::int64_t most_past = -1;
};

Spec trimmed(Spec spec) {
  if (spec.sequences < 0) {
    spec.sequences = static_cast<std::int64_t>(spec.added.size());
    spec.most_added = *std::max_element(spec.added.begin(), spec.added.end());
    spec.most_past = *std::max_element(spec.past.begin(), spec.past.end());
  }
  const std::size_t count = std::min(static_cast<std::size_t>(spec.sequences), spec.added.size());
  spec.added.resize(count);
  spec.past.resize(count);
  for (std::int64_t& added : spec.added) added = std::min(added, spec.most_added);
  for (std::int64_t& past : spec.past) past = std::min(past, spec.most_past);
  return spec;
}

// Whether the pages hold all tokens, and the sequence that has a fault has rows that meet it.
bool fits(const Spec& wanted) {
  if (wanted.sequences > static_cast<std::int64_t>(wanted.added.size())) return false;
  const Spec spec = trimmed(wanted);
  for (std::size_t b = 0; b < spec.added.size(); ++b) {
    if (spec.added[b] + spec.past[b] > spec.max_pages * spec.page_size) return false;
  }
  return spec.fault == Fault::kNone || spec.added.back() > 0;
}

// "3+1*4" is 3, 1, 1, 1, 1.
bool read_list(const std::string& text, std::vector<std::int64_t>& list) {
  list.clear();
  std::istringstream parts(text);
  for (std::string part; std::getline(parts, part, '+');) {
    const std::size_t times = std::min(part.find('*'), part.size());
    const auto value = parse_number<std::int64_t>(part.substr(0, times));
    const auto count = parse_number<std::size_t>(times < part.size() ? part.substr(times + 1) : "1");
    if (!value || !count) return false;
    list.insert(list.end(), *count, *value);
  }
  return true;
}

std::int64_t rows_of(const Spec& spec) {
  return std::accumulate(spec.added.begin(), spec.added.end(), std::int64_t{0});
}

std::int64_t tokens_of(const Spec& spec) {
  return rows_of(spec) + 2 * spec.padding;
}

KvAppendParams make(const Spec& spec, Rig& rig) {
  const auto batch = static_cast<std::int64_t>(spec.added.size());
  const std::int64_t pages = batch * spec.max_pages + 1;
  std::vector<std::int64_t> offsets{spec.padding};
  std::vector<std::int64_t> kv_lens;
  for (std::size_t b = 0; b < spec.added.size(); ++b) {
    offsets.push_back(offsets.back() + spec.added[b]);
    kv_lens.push_back(spec.past[b] + spec.added[b]);
  }
  // Every page once, in an order without pattern: consecutive pages of a sequence are apart, page 0 is not
  // first.
  std::vector<std::int64_t> block_table;
  for (std::int64_t page = pages - 1; page > 0; --page) block_table.push_back(page);
  for (std::size_t i = 0; i + 2 < block_table.size(); i += 3) std::swap(block_table[i], block_table[i + 2]);

  KvAppendParams params;
  if (spec.fault == Fault::kNone) {
    params.error_word = rig.error_word();
  } else {
    const std::size_t last = spec.added.size() - 1;
    const std::int64_t last_page = (kv_lens[last] - 1) / spec.page_size;
    std::int64_t& entry =
        block_table[last * static_cast<std::size_t>(spec.max_pages) + static_cast<std::size_t>(last_page)];
    struct Planted {
      std::int64_t& place;
      std::int64_t value;
      std::uint32_t error;
    };
    const Planted faults[] = {{entry, -1, kDeviceErrorPage},
                              {entry, pages, kDeviceErrorPage},
                              {kv_lens[last], spec.max_pages * spec.page_size + 1, kDeviceErrorLength},
                              {kv_lens[last], spec.added[last] - 1, kDeviceErrorLength},
                              {offsets[last], offsets[last + 1] + 1, kDeviceErrorOffsets},
                              {offsets[last + 1], tokens_of(spec) + 1, kDeviceErrorOffsets}};
    const Planted& fault = faults[static_cast<std::size_t>(spec.fault) - 1];
    fault.place = fault.value;
    params.error_word = rig.error_word(fault.error);
  }
  const Shape row_shape{tokens_of(spec), spec.kv_heads, spec.head_dim};
  const Shape cache_shape{pages, spec.page_size, spec.kv_heads, spec.head_dim};
  const auto rows = [&](const char* name) {
    if (!spec.non_finite) {
      return rig.input(name, spec.dtype, row_shape, spec.family, spec.scale, spec.layout);
    }
    return rig.input_values(name, spec.dtype, row_shape, non_finite_values(row_shape), spec.layout);
  };
  const auto indices = [&](const char* name, const Shape& shape, const std::vector<std::int64_t>& values) {
    return rig.input_values(name, DType::kI32, shape, std::vector<double>(values.begin(), values.end()),
                            spec.layout);
  };
  params.k = rows("k");
  params.v = rows("v");
  params.k_cache = rig.input("k_cache", spec.dtype, cache_shape, spec.family, 1.0, spec.layout);
  params.v_cache = rig.input("v_cache", spec.dtype, cache_shape, spec.family, 1.0, spec.layout);
  params.offsets = indices("offsets", {batch + 1}, offsets);
  params.kv_lens = indices("kv_lens", {batch}, kv_lens);
  params.block_table = indices("block_table", {batch, spec.max_pages}, block_table);
  return params;
}

void declare(Fields<Spec>& made) {
  const auto large = [](const Spec& spec) { return spec.scale != 1.0; };
  made.feature([](const Spec& spec) { return spec.what; });
  made.feature("page_size_1", [](const Spec& spec) { return spec.page_size == 1; });
  made.number("sequences", &Spec::sequences).size("kv_heads", &Spec::kv_heads);
  made.size("head_dim", &Spec::head_dim).size("page_size", &Spec::page_size);
  made.number("max_pages", &Spec::max_pages).number("padding", &Spec::padding, 0);
  made.number("added", &Spec::most_added, 0).number("past", &Spec::most_past, 0);
  made.alias("tokens", tokens_of, [](Spec& spec, std::int64_t size) { spec.added = {size}; });
  made.layout().family("family", &Spec::family, false);
  made.scalar("scale", &Spec::scale, 1.0).flag("non_finite", &Spec::non_finite);
  made.choice("fault", &Spec::fault,
              "none page_negative page_too_large over_capacity shorter_than_rows offsets_decrease "
              "offsets_leave_tensor");
  made.word("what", [](Spec& spec, const std::string& what) { return !(spec.what = what).empty(); });
  made.word("appended", [](Spec& spec, const std::string& text) { return read_list(text, spec.added); });
  made.word("cached", [](Spec& spec, const std::string& text) { return read_list(text, spec.past); });
  made.special({"non_finite", "minus_infinity"}, &Spec::non_finite).special({"large"}, large);
  made.shape_text([](const Spec& spec) {
    return fmt::format("b{}.{}of{}.{}x{}", spec.added.size(), spec.page_size, spec.max_pages, tokens_of(spec),
                       shape_name({spec.kv_heads, spec.head_dim}));
  });
  made.no_features_in_id().option([](const Spec& spec) { return spec.what; });
  made.option([large](const Spec& spec) -> std::string {
    if (spec.non_finite) return "non_finite";
    if (large(spec)) return "large";
    return spec.family == Family::kNormal ? "" : input_family(spec.family);
  });
  made.over_tile([](const Spec& spec) { return tokens_of(spec) > 1; });  // more than one block
  made.require(&fits).settle([](Spec& spec) { spec = trimmed(spec); });
}

// Of the caches the rows that are written.
Work work(const Spec& spec, const KvAppendParams& params) {
  const std::int64_t elements = rows_of(spec) * spec.kv_heads * spec.head_dim;
  return {.bytes = 4 * elements * static_cast<std::int64_t>(dtype_size(params.k.dtype))};
}

const OpCases<Spec, KvAppendParams> kCases{kv_append, declared<Spec, declare>, make, work};

}  // namespace

std::vector<OutputExpectation> expect(const KvAppendParams& part, const HostTensors& host, const Target&,
                                      const KvAppendParams&) {
  const TensorView& cache = part.k_cache;
  const reference::KvAppendSizes sizes{.tokens = part.k.shape[0],
                                       .row = part.k.shape[1] * part.k.shape[2],
                                       .pages = cache.shape[0],
                                       .page_size = cache.shape[1],
                                       .batch = part.kv_lens.shape[0],
                                       .max_pages = part.block_table.shape[1]};
  const auto appended = [&](const char* rows, const char* name) {
    return exactly(name, cache,
                   reference::kv_append(host.values(rows), host.values(name), host.values("offsets"),
                                        host.values("kv_lens"), host.values("block_table"), sizes));
  };
  return {appended("k", "k_cache"), appended("v", "v_cache")};
}

// kv_heads x head_dim x page_size
constexpr std::string_view kTable = R"(
  # Up to exactly full pages (chronicle 001: page_size 4, max_pages 10, tokens [1, 2, 3, 4]).
  $new = what=new_sequence cached=0
  1x8x4! : $new appended=4 max_pages=10
  3x5x4 : $new appended=7
  2x64x4 : $new appended=16
  # One token for each sequence.
  2x16x4 : what=decode appended=1+1+1 cached=3+0+12
  8x128x4! : what=decode appended=1+1 cached=8+7
  1x7x4 : what=decode appended=1*300 cached=5*300 max_pages=2
  # From inside a page to inside a page.
  2x24x4! : what=chunk appended=9+2 cached=3+6
  5x40x4 : what=chunk appended=6+1+5 cached=1+15+11
  1x257x16 : what=chunk appended=37 cached=13
  # The last slot of the last page.
  2x8x4 : what=to_capacity appended=3+1 cached=13+15
  1x33x5 : what=to_capacity appended=5 cached=10 max_pages=3
  4x32x16! : what=to_capacity appended=64 cached=0
  # Sequences without rows, in front, between and behind.
  3x8x4! : what=empty_sequences appended=0+2+0+0+3+0 cached=4+1+0+9+5+2
  2x80x4 : what=empty_sequences appended=0+1 cached=0+0
  1x16x4 : what=empty_sequences appended=0+0 cached=1+2
  1x3x4 : what=empty_sequences appended=11+0 cached=5+16
  # Rows of nobody around the sequences.
  2x8x4! : what=padding_rows appended=2+3 cached=0+4 padding=2
  3x17x4 : what=padding_rows appended=1 cached=6 padding=1
  3x9x4 : what=padding_rows appended=0 cached=6 padding=3
  # Pages of one slot.
  2x8x1 : what=chunk appended=3+2 cached=1+0
  3x20x1 : what=decode appended=1 cached=2
  1x96x1 : $new appended=9 max_pages=9
  # Each fault at the last of several sequences: the others stay right.
  2x16x4! : appended=3+5 cached=2+6 {what=bad_page page_negative,what=bad_length over_capacity}
  2x16x4! : appended=3+5 cached=2+6 what=bad_offsets offsets_decrease
  3x7x4 : appended=1+1+2 cached=2+6+0 {what=bad_page page_too_large,what=bad_length shorter_than_rows}
  3x7x4 : appended=1+1+2 cached=2+6+0 what=bad_offsets offsets_leave_tensor
  1x64x4 : appended=8 cached=0 {what=bad_page page_too_large,what=bad_length over_capacity}
  1x64x4 : appended=8 cached=0 what=bad_offsets offsets_decrease
  $family = uniform,outliers,subnormal,equal,one_hot,integers
  2x8x4 : what=chunk appended=2+5 cached=3+0 {$family,non_finite,scale=large}
  3x8x4 : $new appended=11 {$family,non_finite,scale=large}
  1x65x4 : what=decode appended=1+1 cached=3+8 {$family}
  1x65x4! : what=decode appended=1+1 cached=3+8 {non_finite,scale=large}
  0x8x4 : what=chunk appended=0 cached=2
  0x16x4 : what=chunk appended=3 cached=2
  2x0x4 : what=chunk appended=5 cached=2
)";

constexpr std::string_view kBench = R"(
  8x128x16 : what=decode appended=1*32 cached=200*32 max_pages=16
  8x128x16 : what=new_sequence appended=2048 cached=0 max_pages=128
  4x32x16 : what=decode appended=1 cached=100 max_pages=32
)";

OpSuite kv_append_suite() {
  auto suite = make_suite<KvAppendParams>(kKvAppendBound);
  suite.features = words_of(
      "new_sequence decode chunk to_capacity page_size_1 empty_sequences padding_rows bad_page "
      "bad_length bad_offsets");
  exclude_families(suite, {"cancel"}, "bits are copied, nothing is added");
  exclude_families(suite, {"masked_rows", "nan_behind_mask"}, "there is no mask");
  // A pack, a wave's lanes, a block; a page of 4 and four of them.
  for (std::int64_t at : {8, 32, 64, 256}) suite.edges.push_back({"head_dim", at});
  for (std::int64_t at : {4, 16}) suite.edges.push_back({"tokens", at});
  fill_suite(suite, kCases,
             {kTable, "1x6x4 : what=chunk appended=3 cached=1 max_pages=6", kBench,
              [](Spec& spec) { spec = trimmed(spec); }});
  return suite;
}

}  // namespace hipforge::harness
