#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace hipforge::harness {

/// One case of a table.
struct TableCase {
  std::string line;
  std::vector<std::int64_t> sizes;
  std::vector<std::string> words;
  bool quick = false;     ///< among those of `check --quick`
  bool emulated = false;  ///< among those that an emulator runs
};

/// What blanks part.
[[nodiscard]] std::vector<std::string> words_of(std::string_view text);

/// The cases of a table, lines of shapes and of what is said of them:
///
///   3x7! 4x{130,131!~} : outliers ; scale=0.5 {f16,bf16} ; y=<f32|f16>   # a comment
///
/// Each shape goes with each of the groups of words between ';'. {a,b} stands for either. <a|b> stands for
/// one of them in turn, which `turn` counts: a case that has such words takes a turn. After a line "$name =
/// words", $name stands for those. '!' behind a shape: quick, '~': emulated. The lines below "[f16 bf16]
/// [contiguous] words" are for a `form` that has one of the names of each list, and say these words as well.
/// Throws Error on a line that is none of this.
[[nodiscard]] std::vector<TableCase> read_case_table(std::string_view table, std::size_t& turn,
                                                     const std::vector<std::string>& form = {});

}  // namespace hipforge::harness
