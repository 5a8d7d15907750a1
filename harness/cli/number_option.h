#pragma once

#include "harness/system/number.h"

#include <fmt/format.h>
#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>

#include <string>
#include <vector>

namespace hipforge::harness {

/// How every numeric option of our programs is declared. CLI11's own conversion takes 010 for 8, 0x10 for 16,
/// -1 for the highest unsigned, and nan.
template <class T>
CLI::Option* add_number(CLI::App& app, const std::string& name, T& value, const std::string& help,
                        Range<T> range = {}) {
  const auto take = [name, range, &value](const std::string& text) {
    const std::optional<T> number = parse_number(text, range);
    if (!number) throw CLI::ValidationError(name, number_fault(text, range));
    value = *number;
  };
  return app.add_option_function<std::string>(name, take, help)
      ->default_str(fmt::format("{}", value))
      ->type_name(std::is_floating_point_v<T> ? "NUMBER" : "COUNT");
}

/// The same for several numbers, with commas between them.
template <class T>
CLI::Option* add_numbers(CLI::App& app, const std::string& name, std::vector<T>& values,
                         const std::string& help, Range<T> range = {}) {
  const auto take = [name, range, &values](const std::vector<std::string>& texts) {
    for (const std::string& text : texts) {
      const std::optional<T> number = parse_number(text, range);
      if (!number) throw CLI::ValidationError(name, number_fault(text, range));
      values.push_back(*number);
    }
  };
  return app.add_option_function<std::vector<std::string>>(name, take, help)
      ->delimiter(',')
      ->type_name("COUNT");
}

}  // namespace hipforge::harness
