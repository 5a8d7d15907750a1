#include "harness/isa/disassembly.h"

#include "kernels/runtime/status.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <functional>
#include <optional>
#include <span>
#include <utility>

namespace hipforge::harness {
namespace {

[[noreturn]] void fail(std::string_view line) {
  throw Error(invalid_argument("cannot read the disassembly's line \"", line.substr(0, 120), "\""));
}

std::string_view trim(std::string_view text) {
  const auto begin = text.find_first_not_of(" \t\r");
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(" \t\r") - begin + 1);
}

// The text before `separator`, which is taken off `rest` along with it.
std::string_view take(std::string_view& rest, char separator) {
  const auto end = std::min(rest.find(separator), rest.size());
  const std::string_view taken = rest.substr(0, end);
  rest.remove_prefix(std::min(end + 1, rest.size()));
  return taken;
}

std::optional<std::uint64_t> parse_number(std::string_view digits, int base) {
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value, base);
  if (error != std::errc() || end != digits.data() + digits.size()) return std::nullopt;
  return value;
}

bool starts_with_any(std::string_view text, const std::vector<std::string_view>& prefixes) {
  return std::ranges::any_of(prefixes, [text](std::string_view prefix) { return text.starts_with(prefix); });
}

// What mnemonics that begin so keep busy. Of several rows that fit, the first counts.
struct Unit {
  WorkKind work;
  std::vector<std::string_view> prefixes;
};

const Unit kAmdUnits[] = {
    {WorkKind::kMatrix, {"v_mfma_", "v_smfmac_", "v_wmma_", "v_swmmac_"}},
    {WorkKind::kVector, {"v_"}},
    {WorkKind::kLds, {"ds_"}},
    // Cache control goes by the names of memory accesses.
    {WorkKind::kNone, {"buffer_gl", "buffer_wb", "buffer_inv", "global_wb", "global_inv"}},
    {WorkKind::kGlobal, {"global_", "flat_", "buffer_", "scratch_", "image_"}},
    {WorkKind::kNone,
     {"s_nop", "s_wait", "s_delay_alu", "s_clause", "s_sleep", "s_setprio", "s_code_end", "s_inst_prefetch",
      "s_set_inst_prefetch"}},
    {WorkKind::kScalar, {""}},
};

const Unit kSassUnits[] = {
    {WorkKind::kMatrix, {"HMMA", "HGMMA", "QGMMA", "IMMA", "IGMMA", "DMMA", "BMMA"}},
    {WorkKind::kLds, {"LDS", "STS", "ATOMS", "LDSM", "STSM", "SHFL"}},
    {WorkKind::kGlobal, {"LDG", "STG", "LD.", "ST.", "ATOM", "RED", "LDL", "STL", "UTMA", "UBLKCP"}},
    {WorkKind::kNone,
     {"NOP", "DEPBAR", "LDGDEPBAR", "WARPSYNC", "BSSY", "BSYNC", "YIELD", "CCTL", "MEMBAR", "ERRBAR",
      "NANOSLEEP", "WARPGROUP"}},
    // The uniform datapath, constants and branches.
    {WorkKind::kScalar, {"U", "R2UR", "BRA", "BRX", "JMP", "EXIT", "RET", "CALL", "BAR", "LDC"}},
    {WorkKind::kVector, {""}},
};

WorkKind work_of(std::span<const Unit> units, std::string_view mnemonic) {
  const auto fits = [&](const Unit& unit) { return starts_with_any(mnemonic, unit.prefixes); };
  return std::ranges::find_if(units, fits)->work;
}

// "	s_cbranch_scc0 1656      // 000000009CDC: BF840678 <name+0x1ac0>"
Instruction parse_amd_instruction(std::string_view line) {
  std::string_view text = line;
  const auto comment = text.rfind("// ");
  if (comment == std::string_view::npos) fail(line);
  std::string_view place = text.substr(comment + 3);
  const auto address = parse_number(take(place, ':'), 16);
  if (!address) fail(line);
  text = trim(text.substr(0, comment));
  const std::string_view mnemonic = take(text, ' ');
  Instruction instruction;
  instruction.address = *address;
  instruction.mnemonic = mnemonic;
  instruction.work = work_of(kAmdUnits, mnemonic);
  if (mnemonic == "s_branch" || mnemonic.starts_with("s_cbranch_")) {
    // Counted in words from the next instruction, as an unsigned 16-bit number that means a signed one.
    const auto words = parse_number(trim(text), 10);
    if (!words || *words > 0xffff) fail(line);
    const std::int64_t distance = static_cast<std::int16_t>(*words);
    instruction.target = *address + 4 + static_cast<std::uint64_t>(distance * 4);
    instruction.flow = mnemonic == "s_branch" ? Flow::kJump : Flow::kBranch;
  } else if (mnemonic.starts_with("s_endpgm") || mnemonic == "s_setpc_b64") {
    instruction.flow = Flow::kEnd;
  }
  return instruction;
}

// "        /*0a40*/              @!P0 BRA 0x2d0 ;          /* 0xfffffff800a48947 */"; no other line.
std::optional<Instruction> parse_sass_instruction(std::string_view line) {
  std::string_view text = trim(line);
  if (!text.starts_with("/*") || text.starts_with("/* ")) return std::nullopt;
  text.remove_prefix(2);
  const auto address = parse_number(take(text, '*'), 16);
  const auto end = text.find(';');
  if (!address || end == std::string_view::npos) return std::nullopt;
  text = trim(text.substr(1, end - 1));
  Instruction instruction;
  instruction.address = *address;
  const bool conditional = text.starts_with('@');
  if (conditional) {
    (void)take(text, ' ');
    text = trim(text);
  }
  const std::string_view opcode = take(text, ' ');
  instruction.mnemonic = opcode;
  // With a dot even where it has no modifiers: LD is a load, LDC another thing.
  instruction.work = work_of(kSassUnits, instruction.mnemonic + ".");
  if (opcode == "BRA" || opcode.starts_with("BRA.") || opcode == "JMP") {
    const auto digits = text.rfind("0x");
    const auto target =
        digits == std::string_view::npos ? std::nullopt : parse_number(trim(text.substr(digits + 2)), 16);
    if (!target) fail(line);
    instruction.target = *target;
    // A predicate stands before the opcode or among the operands.
    instruction.flow =
        conditional || trim(text).find(',') != std::string_view::npos ? Flow::kBranch : Flow::kJump;
  } else if ((opcode == "EXIT" || starts_with_any(opcode, {"RET", "BRX"})) && !conditional) {
    instruction.flow = Flow::kEnd;
  }
  return instruction;
}

// The instruction at an address; past the last where none is.
std::size_t index_of(const std::vector<Instruction>& code, std::uint64_t address) {
  const auto found = std::ranges::lower_bound(code, address, {}, &Instruction::address);
  if (found == code.end() || found->address != address) return code.size();
  return static_cast<std::size_t>(found - code.begin());
}

// For each instruction those that go on to it, of all that the entry reaches.
std::vector<std::vector<std::size_t>> find_origins(const std::vector<Instruction>& code) {
  std::vector<std::vector<std::size_t>> origins(code.size());
  std::vector<bool> reached(code.size());
  std::vector<std::size_t> open{0};
  while (!open.empty()) {
    const std::size_t at = open.back();
    open.pop_back();
    if (reached[at]) continue;
    reached[at] = true;
    const auto go_on_to = [&](std::size_t next) {
      if (next >= code.size()) return;  // falls or jumps out of the routine
      origins[next].push_back(at);
      open.push_back(next);
    };
    const Flow flow = code[at].flow;
    if (flow == Flow::kNext || flow == Flow::kBranch) go_on_to(at + 1);
    if (flow == Flow::kBranch || flow == Flow::kJump) go_on_to(index_of(code, code[at].target));
  }
  return origins;
}

// Which instructions are the loop with this head: it, and all that gets to a tail of it without passing it. A
// tail goes on to the head and is dominated by it: its ways back do not come by the entry, 0. All false: no
// loop.
std::vector<bool> loop_at(std::size_t head, const std::vector<std::vector<std::size_t>>& origins) {
  std::vector<bool> loop(origins.size());
  for (const std::size_t tail : origins[head]) {
    std::vector<bool> body(origins.size());
    body[head] = true;
    std::vector<std::size_t> open{tail};
    while (!open.empty() && (head == 0 || !body[0])) {
      const std::size_t at = open.back();
      open.pop_back();
      if (body[at]) continue;
      body[at] = true;
      open.insert(open.end(), origins[at].begin(), origins[at].end());
    }
    if (head != 0 && body[0]) continue;
    std::transform(loop.begin(), loop.end(), body.begin(), loop.begin(), std::logical_or());
  }
  return loop;
}

// What those instructions do of which `part` is true; there is one.
HotLoop sum_up(const std::vector<Instruction>& code, const std::vector<bool>& part, bool is_loop) {
  // In the order of WorkKind; what is none has no counter.
  constexpr int WorkCounts::*kCounters[] = {&WorkCounts::matrix, &WorkCounts::vector, &WorkCounts::lds,
                                            &WorkCounts::global, &WorkCounts::scalar};
  HotLoop sum{.is_loop = is_loop};
  for (std::size_t i = code.size(); i-- > 0;) {
    if (!part[i]) continue;
    sum.begin = code[i].address;
    sum.end = std::max(sum.end, sum.begin);
    if (code[i].work != WorkKind::kNone) ++(sum.counts.*kCounters[static_cast<std::size_t>(code[i].work)]);
  }
  return sum;
}

// Larger is hotter.
std::array<int, 3> heat(const WorkCounts& counts) {
  return {counts.matrix, counts.global,
          counts.matrix + counts.vector + counts.lds + counts.global + counts.scalar};
}

}  // namespace

std::vector<Routine> parse_amd_disassembly(std::string_view text) {
  std::vector<Routine> routines;
  while (!text.empty()) {
    const std::string_view line = take(text, '\n');
    if (line.starts_with('\t')) {
      if (routines.empty()) fail(line);
      // Runs of zeros between routines are abridged.
      if (trim(line) == "...") continue;
      routines.back().code.push_back(parse_amd_instruction(line));
    } else if (line.ends_with(">:")) {
      // "0000000000009c00 <name>:"
      const auto name = line.find('<');
      if (name == std::string_view::npos) fail(line);
      routines.push_back(Routine{std::string(line.substr(name + 1, line.size() - name - 3)), {}});
    }
  }
  return routines;
}

std::vector<Routine> parse_sass(std::string_view text) {
  constexpr std::string_view kArchitecture = "code for ";
  constexpr std::string_view kFunction = "Function : ";
  std::vector<Routine> routines;
  std::string architecture;
  while (!text.empty()) {
    const std::string_view line = take(text, '\n');
    if (const auto at = line.find(kFunction); at != std::string_view::npos) {
      routines.push_back(Routine{std::string(trim(line.substr(at + kFunction.size()))), {}, architecture});
    } else if (const auto place = line.find(kArchitecture); place != std::string_view::npos) {
      architecture = trim(line.substr(place + kArchitecture.size()));
    } else if (const auto instruction = parse_sass_instruction(line)) {
      if (routines.empty()) fail(line);
      routines.back().code.push_back(*instruction);
    }
  }
  return routines;
}

HotLoop find_hot_loop(const std::vector<Instruction>& code) {
  if (code.empty()) return {};
  struct Loop {
    std::size_t head;
    std::vector<bool> body;
    HotLoop sum;
  };
  std::vector<Loop> loops;
  const auto origins = find_origins(code);
  for (std::size_t head = 0; head < code.size(); ++head) {
    // A loop is come to from without and from its tail.
    if (head > 0 && origins[head].size() < 2) continue;
    std::vector<bool> body = loop_at(head, origins);
    if (!body[head]) continue;
    const HotLoop sum = sum_up(code, body, true);
    loops.push_back({head, std::move(body), sum});
  }
  const Loop* hottest = nullptr;
  for (const Loop& loop : loops) {
    // Of loops with matrix instructions, one within is in the way only if it has some too.
    const bool innermost = std::ranges::none_of(loops, [&](const Loop& other) {
      return &other != &loop && loop.body[other.head] &&
             (loop.sum.counts.matrix == 0 || other.sum.counts.matrix > 0);
    });
    if (innermost && (hottest == nullptr || heat(loop.sum.counts) > heat(hottest->sum.counts)))
      hottest = &loop;
  }
  return hottest != nullptr ? hottest->sum : sum_up(code, std::vector<bool>(code.size(), true), false);
}

}  // namespace hipforge::harness
