#include "harness/ops/argmax.h"

#include "harness/sweep/op_cases.h"
#include "reference/argmax.h"
#include "reference/not_finite.h"

#include <random>
#include <utility>

namespace hipforge::harness {
namespace {

enum class Data {
  kNormal,
  kOneHot,
  kSubnormal,
  kUniform,
  kOutliers,
  kLarge,
  kNegative,    // all below zero
  kTies,        // few distinct values
  kEqual,       // all the same
  kZeros,       // −0 and +0
  kNaN,         // a NaN in every third place, the first included
  kNaNRow,      // nothing else
  kPeak,        // one place above the rest, the last in the first row and further in front in each other
  kInfinities,  // −infinity but for a few; the second row −infinity alone
};

struct Spec {
  std::int64_t rows = 1;
  std::int64_t cols = 1;
  Data data = Data::kNormal;
  bool values = true;
  DType dtype = DType::kF32;
  Layout layout = Layout::kContiguous;
  bool quick = false;
};

// The data that the device's families do not have.
std::vector<double> special_values(const Spec& spec, std::uint64_t seed) {
  std::mt19937_64 engine(seed * 1000003 + static_cast<std::uint64_t>(spec.cols));
  std::vector<double> values;
  for (std::int64_t row = 0; row < spec.rows; ++row) {
    for (std::int64_t col = 0; col < spec.cols; ++col) {
      const auto draw = static_cast<double>(engine() % 1024);
      switch (spec.data) {
        case Data::kPeak:
          values.push_back(col == (row + 1) * (spec.cols - 1) / (2 * row + 1) ? 17.0 : draw / 64.0);
          break;
        case Data::kNegative:
          values.push_back(-1.0 - draw / 64.0);
          break;
        case Data::kTies:
          values.push_back(static_cast<double>(engine() % 4) - 2.0);
          break;
        case Data::kZeros:
          values.push_back(draw < 512.0 ? -0.0 : 0.0);
          break;
        case Data::kNaN:
          values.push_back(col % 3 == 0 ? kNaN : draw / 32.0 - 20.0);
          break;
        case Data::kNaNRow:
          values.push_back(kNaN);
          break;
        case Data::kInfinities:
          values.push_back(row != 1 && draw < 8.0 ? (draw < 4.0 ? kInfinity : draw) : -kInfinity);
          break;
        default:
          values.push_back(draw);
          break;
      }
    }
  }
  return values;
}

TensorView make_x(const Spec& spec, Rig& rig) {
  const auto family = [&](Family kind, double scale = 1.0) {
    return rig.input("x", spec.dtype, {spec.rows, spec.cols}, kind, scale, spec.layout);
  };
  switch (spec.data) {
    case Data::kNormal:
      return family(Family::kNormal);
    case Data::kOneHot:
      return family(Family::kOneHot, 2.0);
    case Data::kEqual:
      return family(Family::kEqual, -3.0);
    case Data::kSubnormal:
      return family(Family::kSubnormal);
    case Data::kUniform:
      return family(Family::kUniform);
    case Data::kOutliers:
      return family(Family::kOutliers);
    case Data::kLarge:
      return family(Family::kNormal, spec.dtype == DType::kF16 ? 1e4 : 1e30);
    default:
      return rig.input_values("x", spec.dtype, {spec.rows, spec.cols}, special_values(spec, rig.seed()),
                              spec.layout);
  }
}

ArgmaxParams make(const Spec& spec, Rig& rig) {
  ArgmaxParams params;
  params.x = make_x(spec, rig);
  params.ids = rig.output("ids", DType::kI32, {spec.rows}, spec.layout);
  if (spec.values) params.values = rig.output("values", DType::kF32, {spec.rows}, spec.layout);
  return params;
}

const Fields<Spec>& fields() {
  static const auto all = [] {
    Fields<Spec> made;
    made.dtype(&Spec::dtype).size("rows", &Spec::rows).size("cols", &Spec::cols);
    made.layout("layout", &Spec::layout).flag("values", &Spec::values);
    const std::vector<Value<Data>> data{
        {"equal", Data::kEqual, "equal", {"equal"}},
        {"one_hot", Data::kOneHot, "one_hot", {"one_hot"}},
        {"normal", Data::kNormal, "normal", {"normal"}},
        {"subnormal", Data::kSubnormal, "subnormal", {"subnormal"}},
        {"uniform", Data::kUniform, "uniform", {"uniform"}},
        {"outliers", Data::kOutliers, "outliers", {"outliers"}},
        {"large", Data::kLarge, "large", {"large"}},
        {"negative", Data::kNegative, "negative"},
        {"ties", Data::kTies, "ties", {"integers"}},
        {"zeros", Data::kZeros, "zeros"},
        {"nan", Data::kNaN, "nan", {"non_finite"}},
        {"nan_row", Data::kNaNRow, "nan_row", {"non_finite", "masked_rows"}},
        {"peak", Data::kPeak, "peak"},
        {"infinities", Data::kInfinities, "infinities", {"minus_infinity", "masked_rows", "non_finite"}}};
    made.choice<Data>("data", &Spec::data, data, 3).says("values", "ids_only");
    made.feature("long_row", [](const Spec& spec) { return spec.cols >= 32000; });
    // A row, or what one wave takes in its steps.
    made.over_tile([](const Spec& spec) { return spec.rows > 1 || spec.cols > 1024; });
    return made;
  }();
  return all;
}

Work work(const Spec& spec, const ArgmaxParams&) {
  return {.flops = spec.rows * spec.cols, .ceiling = Ceiling::kRead};
}

const OpCases<Spec, ArgmaxParams> kCases{argmax, fields, make, expect, work};

}  // namespace

std::vector<OutputExpectation> expect(const ArgmaxParams& part, const HostTensors& host, const Target&,
                                      const ArgmaxParams&) {
  const std::int64_t rows = part.x.shape[0];
  reference::ArgmaxResult oracle = reference::argmax(host.values("x"), rows, part.x.shape[1]);
  const std::vector<double> exact(oracle.ids.size(), 0.0);
  std::vector<OutputExpectation> outputs{{"ids", {part.ids.dtype, {rows}, std::move(oracle.ids), exact}}};
  if (part.values.present()) {
    outputs.push_back({"values", {part.values.dtype, {rows}, std::move(oracle.values), exact}});
  }
  return outputs;
}

// rows x cols
constexpr std::string_view kTable = R"(
  5x{1,2,8,31,33,64,65,256,257!} 2x{1025,2049,4096,8195} : values=<on|off>
  $data = uniform,outliers,large,one_hot,subnormal,negative,ties,equal,zeros,nan,nan_row,peak,infinities
  2x7 3x130! 2x3001 : {$data}
  # Vocabularies.
  1x32003 2x50257 : ties
  1x128256 : peak
  0x{64,1,2049}
)";

OpSuite argmax_suite() {
  auto suite = make_suite<ArgmaxParams>(kArgmaxBound);
  suite.features = {"normal", "one_hot", "subnormal",  "negative", "ties",     "equal",    "zeros",
                    "nan",    "nan_row", "infinities", "values",   "ids_only", "long_row", "peak"};
  exclude_families(suite, {"cancel"}, "elements are compared, nothing is added");
  exclude_families(suite, {"nan_behind_mask"}, "there is no mask");
  // A pack, a wave's lanes, what a wave takes at once, and what it takes before a row gets another.
  for (std::int64_t at : {8, 32, 64, 256, 512, 1024, 2048, 8192}) suite.edges.push_back({"cols", at});
  fill_suite(suite, kCases, {kTable, "3x1", "1x4096 1x128256 32x32000"});
  return suite;
}

}  // namespace hipforge::harness
