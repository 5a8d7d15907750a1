// From machine code back to the source.
#pragma once

#include <cstdint>
#include <string>

namespace hipforge::cpu::race {

/// "file.hip:12 (in helper.h:34)" of the call that returns to an address of which the low half is known;
/// "module+0xOFFSET" where the code has no line numbers.
std::string source_line(uint32_t pc);

}  // namespace hipforge::cpu::race
