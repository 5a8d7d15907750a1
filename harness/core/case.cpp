#include "harness/core/case.h"

#include "harness/core/device_info.h"
#include "kernels/runtime/device_error.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>

namespace hipforge::harness {
namespace {

CaseResult failed(Failure failure, std::string message) {
  CaseResult result;
  result.failure = failure;
  result.worst_share = std::numeric_limits<double>::infinity();
  result.message = std::move(message);
  return result;
}

Settings parse_settings(const std::string& text) {
  Settings settings;
  for (std::size_t begin = 0; begin <= text.size();) {
    const std::size_t end = std::min(text.find(',', begin), text.size());
    const std::string setting = text.substr(begin, end - begin);
    const std::size_t equals = setting.find('=');
    if (equals == std::string::npos) throw Error(invalid_argument("'", setting, "' is not NAME=VALUE"));
    settings.emplace_back(setting.substr(0, equals), setting.substr(equals + 1));
    begin = end + 1;
  }
  return settings;
}

}  // namespace

const char* failure_name(Failure failure) {
  constexpr const char* kNames[] = {"none",  "refused",   "fault", "error_word", "overwrite",
                                    "wrong", "exception", "crash", "hang",       "memory"};
  return kNames[static_cast<std::size_t>(failure)];
}

std::vector<double> read_output(const Rig& rig, const OutputExpectation& expectation) {
  return expectation.view.present() ? rig.now(expectation.view) : rig.read(expectation.output);
}

CaseResult check_case(PreparedCase& prepared) {
  try {
    if (const Status status = prepared.rig->finish(); !status.ok()) {
      if (status.code == StatusCode::kInvalidArgument) return failed(Failure::kOverwrite, status.message);
      const std::string fault = fault_text();
      return failed(Failure::kFault,
                    fault.empty() ? status.message : fmt::format("{}: {}", status.message, fault));
    }
    if (const std::uint32_t word = prepared.rig->read_error_word();
        word != prepared.rig->expected_error_word()) {
      const std::uint32_t needed = prepared.rig->expected_error_word();
      return failed(Failure::kErrorWord,
                    fmt::format("device error word is {:#x} ({}), needs {:#x} ({})", word,
                                device_error_text(word), needed, device_error_text(needed)));
    }
    CaseResult result;
    result.passed = true;
    const auto take = [&](const Comparison& comparison, const std::string& output) {
      result.bounded = result.bounded || comparison.bounded;
      result.elements += comparison.elements;
      result.outputs.push_back({output, comparison.bounded, comparison.worst_share});
      if (comparison.worst_share >= result.worst_share) {
        result.worst_share = comparison.worst_share;
        result.where = output + comparison.where;
      }
      if (comparison.passed) return;
      result.passed = false;
      result.failure = Failure::kWrong;
      result.message +=
          fmt::format("{}{}: {}", result.message.empty() ? "" : "; ", output, comparison.message);
    };
    if (prepared.judge) {
      take(prepared.judge(*prepared.rig), "");
    } else {
      const std::vector<OutputExpectation> expectations = prepared.expect();
      if (expectations.empty()) return failed(Failure::kException, "the case compares nothing");
      for (const OutputExpectation& expectation : expectations) {
        const std::vector<double> values = read_output(*prepared.rig, expectation);
        take(expectation.judge ? expectation.judge(values) : compare(values, expectation.expected),
             expectation.output);
      }
    }
    return result;
  } catch (const std::exception& error) {
    return failed(Failure::kException, error.what());
  }
}

std::function<Status(hipStream_t)> bind_candidate(CandidateKernel& candidate, const PreparedCase& prepared) {
  if (!prepared.params.has_value()) return prepared.launch;
  return [&candidate, params = prepared.params, own = prepared.launch](hipStream_t stream) {
    return candidate.launch(params, own, stream);
  };
}

CaseResult run_case(const Case& test, const CaseEnvironment& environment) {
  // Tells the recorder, where there is one, whose launches it sees.
  const auto end_case = [](Recorder* recorder) { recorder->end_case(); };
  std::unique_ptr<Recorder, decltype(end_case)> recording(environment.recorder, end_case);
  if (recording) recording->begin_case({test.id, test.op, dtype_name(test.dtype), environment.seed});
  try {
    PreparedCase prepared = test.prepare(environment);
    if (recording) recording->begin_launches(prepared.rig->operands());
    if (const Status status = prepared.rig->reset(); !status.ok()) {
      return failed(Failure::kException, status.message);
    }
    const auto launch =
        environment.candidate != nullptr ? bind_candidate(*environment.candidate, prepared) : prepared.launch;
    if (const Status status = launch(environment.stream); !status.ok()) {
      if (environment.candidate != nullptr && status.code == StatusCode::kUnsupported) {
        CaseResult result;
        result.unsupported = true;
        result.message = status.message;
        return result;
      }
      return failed(Failure::kRefused, status.message);
    }
    recording.reset();  // what is launched from here on only looks at the outcome
    return check_case(prepared);
  } catch (const std::exception& error) {
    return failed(Failure::kException, error.what());
  }
}

const OpSuite& suite_of(std::string_view op) {
  const auto found = std::ranges::find(all_suites(), op, &OpSuite::op);
  if (found == all_suites().end()) throw Error(failure(StatusCode::kNotFound, "no op ", op));
  return *found;
}

Case find_case(const std::string& id) {
  const std::size_t at = id.find('@');
  const std::string base = id.substr(0, at);
  for (const OpSuite& suite : all_suites()) {
    if (base.rfind(suite.op + "/", 0) != 0) continue;
    for (const std::vector<Case>* cases : {&suite.cases, &suite.bench_cases}) {
      for (const Case& test : *cases) {
        if (test.id != base) continue;
        if (at == std::string::npos) return test;
        return test.variants().make(parse_settings(id.substr(at + 1)));
      }
    }
  }
  throw Error(failure(StatusCode::kNotFound, "no case ", base));
}

std::string shape_name(const Shape& shape) {
  std::string text;
  for (std::int64_t size : shape) text += fmt::format("{}{}", text.empty() ? "" : "x", size);
  return text;
}

bool any_odd(const Shape& shape) {
  return std::ranges::any_of(shape, [](std::int64_t size) { return size > 1 && size % 2 != 0; });
}

}  // namespace hipforge::harness
