#include "kernels/argmax.h"

#include "harness/sweep/metamorphic.h"
#include "harness/sweep/op_cases.h"
#include "reference/argmax.h"
#include "reference/not_finite.h"

#include <algorithm>
#include <random>
#include <utility>

namespace hipforge::harness {

constexpr const char* kArgmaxBound = R"(
Index and value are exact: bound 0.)";

// ids, values where present, within kArgmaxBound.
Oracle<ArgmaxParams> expect;

namespace {

// An element that is made on the host.
struct Element {
  std::int64_t row;
  std::int64_t col;
  std::int64_t cols;
  std::mt19937_64& engine;
  double draw;  // of 0, 1 … 1023
};

// What x holds: of a family, or element by element. Its name is its feature.
struct Data {
  const char* name;
  std::vector<std::string> families{};
  Family family = Family::kNormal;
  double scale = 1.0;
  double (*value)(const Element& at) = nullptr;
};
const Data kData[] = {
    {"equal", {"equal"}, Family::kEqual, -3.0},
    {"one_hot", {"one_hot"}, Family::kOneHot, 2.0},
    {"normal", {"normal"}, Family::kNormal},
    {"subnormal", {"subnormal"}, Family::kSubnormal},
    {"uniform", {"uniform"}, Family::kUniform},
    {"outliers", {"outliers"}, Family::kOutliers},
    {"large", {"large"}, Family::kNormal, 1e30},
    {.name = "negative", .value = [](const Element& at) { return -1.0 - at.draw / 64.0; }},
    {.name = "ties",
     .families = {"integers"},
     .value = [](const Element& at) { return static_cast<double>(at.engine() % 4) - 2.0; }},
    {.name = "zeros", .value = [](const Element& at) { return at.draw < 512.0 ? -0.0 : 0.0; }},
    {.name = "nan",
     .families = {"non_finite"},
     .value = [](const Element& at) { return at.col % 3 == 0 ? kNaN : at.draw / 32.0 - 20.0; }},
    {.name = "nan_row",
     .families = {"non_finite", "masked_rows"},
     .value = [](const Element&) { return kNaN; }},
    // The last of the first row is above the rest, and one further in front in each other.
    {.name = "peak",
     .value =
         [](const Element& at) {
           return at.col == (at.row + 1) * (at.cols - 1) / (2 * at.row + 1) ? 17.0 : at.draw / 64.0;
         }},
    // A few are above −infinity, but for the second row.
    {.name = "infinities",
     .families = {"minus_infinity", "masked_rows", "non_finite"},
     .value =
         [](const Element& at) {
           if (at.row == 1 || at.draw >= 8.0) return -kInfinity;
           return at.draw < 4.0 ? kInfinity : at.draw;
         }},
};

struct Spec : SpecBase {
  std::int64_t rows = 1;
  std::int64_t cols = 1;
  const Data* data = &kData[2];
  bool values = true;
};

TensorView make_x(const Spec& spec, Rig& rig) {
  const Shape shape{spec.rows, spec.cols};
  const Data& data = *spec.data;
  if (data.value == nullptr) {
    const double scale = spec.dtype == DType::kF16 ? std::min(data.scale, 1e4) : data.scale;
    return rig.input("x", spec.dtype, shape, data.family, scale, spec.layout);
  }
  std::mt19937_64 engine(rig.seed() * 1000003 + static_cast<std::uint64_t>(spec.cols));
  const auto values = values_of(shape, [&](std::int64_t i) {
    const auto draw = static_cast<double>(engine() % 1024);
    return data.value({i / spec.cols, i % spec.cols, spec.cols, engine, draw});
  });
  return rig.input_values("x", spec.dtype, shape, values, spec.layout);
}

ArgmaxParams make(const Spec& spec, Rig& rig) {
  ArgmaxParams params;
  params.x = make_x(spec, rig);
  params.ids = rig.output("ids", DType::kI32, {spec.rows}, spec.layout);
  if (spec.values) params.values = rig.output("values", DType::kF32, {spec.rows}, spec.layout);
  return params;
}

void declare(Fields<Spec>& made) {
  made.size("rows", &Spec::rows).size("cols", &Spec::cols);
  made.layout().flag("values", &Spec::values);
  std::vector<Value<const Data*>> data;
  for (const Data& one : kData) data.push_back({one.name, &one, one.name, one.families});
  made.choice("data", &Spec::data, data, 3).says("values", "ids_only");
  made.feature("long_row", [](const Spec& spec) { return spec.cols >= 32000; });
  // A row, or what one wave takes in its steps.
  made.over_tile([](const Spec& spec) { return spec.rows > 1 || spec.cols > 1024; });
}

Work work(const Spec& spec, const ArgmaxParams&) {
  return {.flops = spec.rows * spec.cols, .ceiling = Ceiling::kRead};
}

const OpCases<Spec, ArgmaxParams> kCases{argmax, declared<Spec, declare>, make, work};

}  // namespace

std::vector<OutputExpectation> expect(const ArgmaxParams& part, const HostTensors& host, const Target&,
                                      const ArgmaxParams&) {
  reference::ArgmaxResult oracle = reference::argmax(host.values("x"), part.x.shape[0], part.x.shape[1]);
  std::vector<OutputExpectation> outputs{exactly("ids", part.ids, std::move(oracle.ids))};
  if (part.values.present()) {
    outputs.push_back(exactly("values", part.values, std::move(oracle.values)));
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
  suite.features = words_of(
      "normal one_hot subnormal negative ties equal zeros nan nan_row infinities values ids_only long_row "
      "peak");
  exclude_families(suite, {"cancel"}, "elements are compared, nothing is added");
  exclude_families(suite, {"nan_behind_mask"}, "there is no mask");
  // A pack, a wave's lanes, what a wave takes at once, and what it takes before a row gets another.
  for (std::int64_t at : {8, 32, 64, 256, 512, 1024, 2048, 8192}) suite.edges.push_back({"cols", at});
  fill_suite(suite, kCases, {kTable, "3x1", "1x4096 1x128256 32x32000"});
  return suite;
}

}  // namespace hipforge::harness
