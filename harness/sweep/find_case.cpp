#include "harness/sweep/find_case.h"

namespace hipforge::harness {
namespace {

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

}  // namespace hipforge::harness
