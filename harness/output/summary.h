#pragma once

#include "harness/output/sheet.h"

#include <nlohmann/json.hpp>

#include <cstddef>
#include <string>
#include <vector>

namespace hipforge::harness {

/// Named values in order, as a file of JSON nests them. A number that is not finite becomes null.
using JsonFields = nlohmann::ordered_json::object_t;

/// As JSON, one value a line. Bytes that are no UTF-8 become U+FFFD.
[[nodiscard]] std::string json_text(const JsonFields& fields);

/// What a run found out of one case, launch or kernel.
struct Entry {
  enum class Verdict { kPassed, kFailed, kSkipped };
  std::string name;
  std::string group;  ///< the op, say
  Verdict verdict = Verdict::kPassed;
  double seconds = 0.0;
  std::string message{};
  std::string repeat{};  ///< a shell command that does it again
  JsonFields fields{};   ///< its row in a JSON file
};

/// What a run has to say, in whichever form it is printed.
struct Summary {
  JsonFields head;               ///< of the JSON file: on which device, with which seed
  std::string rows = "results";  ///< what the entries are called there
  std::vector<Entry> entries;
  Sheet groups;                    ///< the table that a reader sees first
  Sheet details;                   ///< a row for every entry
  std::size_t other_failures = 0;  ///< that are no entry's
  /// What becomes of a skipped one: "skipped", "not supported".
  std::string skipped = "skipped";
  double seconds = 0.0;

  [[nodiscard]] std::size_t count(Entry::Verdict verdict) const;
};

/// "12 passed, 1 failed, 3 skipped"; the last where there are any.
[[nodiscard]] std::string closing_line(const Summary& summary);

/// Every entry under the head, with the counts.
[[nodiscard]] std::string summary_json(const Summary& summary);
/// JUnit's XML, one testsuite a group.
[[nodiscard]] std::string summary_junit(const Summary& summary);
/// What a reviewer reads: the table, then each failure with its message and its command.
[[nodiscard]] std::string summary_markdown(const Summary& summary);

/// Throws Error{kNotFound} that names a path that cannot be written.
void write_summary(const SummaryFiles& files, const Summary& summary);

}  // namespace hipforge::harness
