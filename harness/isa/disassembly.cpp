#include "harness/isa/disassembly.h"

#include "kernels/runtime/status.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <map>
#include <optional>
#include <set>
#include <tuple>

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

bool starts_with_any(std::string_view text, std::initializer_list<std::string_view> prefixes) {
  return std::any_of(prefixes.begin(), prefixes.end(),
                     [text](std::string_view prefix) { return text.starts_with(prefix); });
}

WorkKind amd_work(std::string_view mnemonic) {
  if (starts_with_any(mnemonic, {"v_mfma_", "v_smfmac_", "v_wmma_", "v_swmmac_"})) return WorkKind::kMatrix;
  if (mnemonic.starts_with("v_")) return WorkKind::kVector;
  if (mnemonic.starts_with("ds_")) return WorkKind::kLds;
  // Cache control goes by the names of memory accesses.
  if (starts_with_any(mnemonic, {"buffer_gl", "buffer_wb", "buffer_inv", "global_wb", "global_inv"})) {
    return WorkKind::kNone;
  }
  if (starts_with_any(mnemonic, {"global_", "flat_", "buffer_", "scratch_", "image_"}))
    return WorkKind::kGlobal;
  if (starts_with_any(mnemonic, {"s_nop", "s_wait", "s_delay_alu", "s_clause", "s_sleep", "s_setprio",
                                 "s_code_end", "s_inst_prefetch", "s_set_inst_prefetch"})) {
    return WorkKind::kNone;
  }
  return WorkKind::kScalar;
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
  instruction.work = amd_work(mnemonic);
  if (mnemonic == "s_branch" || mnemonic.starts_with("s_cbranch_")) {
    // Counted in words from the next instruction, as an unsigned 16-bit number that means a signed one.
    const auto words = parse_number(trim(text), 10);
    if (!words || *words > 0xffff) fail(line);
    const std::int64_t distance =
        *words < 0x8000 ? static_cast<std::int64_t>(*words) : static_cast<std::int64_t>(*words) - 0x10000;
    instruction.target = *address + 4 + static_cast<std::uint64_t>(distance * 4);
    instruction.flow = mnemonic == "s_branch" ? Flow::kJump : Flow::kBranch;
  } else if (mnemonic.starts_with("s_endpgm") || mnemonic == "s_setpc_b64") {
    instruction.flow = Flow::kEnd;
  }
  return instruction;
}

WorkKind sass_work(std::string_view opcode) {
  if (starts_with_any(opcode, {"HMMA", "HGMMA", "QGMMA", "IMMA", "IGMMA", "DMMA", "BMMA"})) {
    return WorkKind::kMatrix;
  }
  if (starts_with_any(opcode, {"LDS", "STS", "ATOMS", "LDSM", "STSM", "SHFL"})) return WorkKind::kLds;
  if (starts_with_any(opcode, {"LDG", "STG", "LD.", "ST.", "ATOM", "RED", "LDL", "STL", "UTMA", "UBLKCP"}) ||
      opcode == "LD" || opcode == "ST") {
    return WorkKind::kGlobal;
  }
  if (starts_with_any(opcode, {"NOP", "DEPBAR", "LDGDEPBAR", "WARPSYNC", "BSSY", "BSYNC", "YIELD", "CCTL",
                               "MEMBAR", "ERRBAR", "NANOSLEEP", "WARPGROUP"})) {
    return WorkKind::kNone;
  }
  // The uniform datapath, constants and branches.
  if (starts_with_any(opcode, {"U", "R2UR", "BRA", "BRX", "JMP", "EXIT", "RET", "CALL", "BAR", "LDC"})) {
    return WorkKind::kScalar;
  }
  return WorkKind::kVector;
}

// "        /*0a40*/              @!P0 BRA 0x2d0 ;          /* 0xfffffff800a48947 */"; nullopt for other
// lines.
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
  instruction.work = sass_work(opcode);
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

struct Block {
  std::size_t first = 0;  // of its instructions
  std::size_t last = 0;
  std::vector<std::size_t> successors;
  std::vector<std::size_t> predecessors;
};

constexpr std::size_t kNowhere = static_cast<std::size_t>(-1);

// The instruction at an address, or kNowhere.
std::size_t index_of(const std::vector<Instruction>& code, std::uint64_t address) {
  const auto found = std::lower_bound(
      code.begin(), code.end(), address,
      [](const Instruction& instruction, std::uint64_t wanted) { return instruction.address < wanted; });
  if (found == code.end() || found->address != address) return kNowhere;
  return static_cast<std::size_t>(found - code.begin());
}

std::vector<Block> make_blocks(const std::vector<Instruction>& code) {
  std::set<std::size_t> leaders{0};
  for (std::size_t i = 0; i < code.size(); ++i) {
    if (code[i].flow == Flow::kNext) continue;
    if (i + 1 < code.size()) leaders.insert(i + 1);
    if (code[i].flow == Flow::kEnd) continue;
    if (const std::size_t target = index_of(code, code[i].target); target != kNowhere) leaders.insert(target);
  }
  std::vector<Block> blocks;
  std::vector<std::size_t> block_of(code.size());
  for (std::size_t i = 0; i < code.size(); ++i) {
    if (leaders.contains(i)) blocks.push_back(Block{i, i, {}, {}});
    blocks.back().last = i;
    block_of[i] = blocks.size() - 1;
  }
  for (std::size_t b = 0; b < blocks.size(); ++b) {
    const Instruction& last = code[blocks[b].last];
    const auto connect = [&](std::size_t instruction) {
      if (instruction >= code.size()) return;  // falls or jumps out of the routine
      blocks[b].successors.push_back(block_of[instruction]);
      blocks[block_of[instruction]].predecessors.push_back(b);
    };
    if (last.flow == Flow::kNext || last.flow == Flow::kBranch) connect(blocks[b].last + 1);
    if (last.flow == Flow::kBranch || last.flow == Flow::kJump) connect(index_of(code, last.target));
  }
  return blocks;
}

// The blocks that a path from the entry reaches without passing `avoided`.
std::vector<bool> reached_blocks(const std::vector<Block>& blocks, std::size_t avoided = kNowhere) {
  std::vector<bool> reached(blocks.size());
  std::vector<std::size_t> open{0};
  while (!open.empty()) {
    const std::size_t block = open.back();
    open.pop_back();
    if (block == avoided || reached[block]) continue;
    reached[block] = true;
    open.insert(open.end(), blocks[block].successors.begin(), blocks[block].successors.end());
  }
  return reached;
}

// The loops by their heads.
std::map<std::size_t, std::set<std::size_t>> natural_loops(const std::vector<Block>& blocks) {
  const std::vector<bool> reached = reached_blocks(blocks);
  std::map<std::size_t, std::set<std::size_t>> loops;
  for (std::size_t head = 0; head < blocks.size(); ++head) {
    if (!reached[head]) continue;
    // A block dominates what nothing reaches around it.
    const std::vector<bool> around = reached_blocks(blocks, head);
    std::vector<std::size_t> open;
    for (const std::size_t tail : blocks[head].predecessors) {
      if (reached[tail] && !around[tail]) open.push_back(tail);
    }
    if (open.empty()) continue;
    std::set<std::size_t>& body = loops[head] = {head};
    while (!open.empty()) {
      const std::size_t block = open.back();
      open.pop_back();
      if (!reached[block] || !body.insert(block).second) continue;
      open.insert(open.end(), blocks[block].predecessors.begin(), blocks[block].predecessors.end());
    }
  }
  return loops;
}

void count(const std::vector<Instruction>& code, std::size_t first, std::size_t last, WorkCounts& counts) {
  for (std::size_t i = first; i <= last; ++i) {
    for_each_count(counts,
                   [work = code[i].work](const char*, int& number, WorkKind of) { number += of == work; });
  }
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
  HotLoop hottest;
  if (code.empty()) return hottest;
  const std::vector<Block> blocks = make_blocks(code);
  const auto loops = natural_loops(blocks);
  std::map<std::size_t, WorkCounts> counts;
  for (const auto& [head, body] : loops) {
    for (const std::size_t block : body) count(code, blocks[block].first, blocks[block].last, counts[head]);
  }
  for (const auto& [head, body] : loops) {
    const WorkCounts& own = counts[head];
    // Of loops with matrix instructions, one within is in the way only if it has some too.
    const bool innermost = std::none_of(body.begin(), body.end(), [&, own_head = head](std::size_t block) {
      const auto within = counts.find(block);
      return block != own_head && within != counts.end() && (own.matrix == 0 || within->second.matrix > 0);
    });
    if (!innermost || (hottest.is_loop && heat(own) <= heat(hottest.counts))) continue;
    hottest = HotLoop{true, code[blocks[*body.begin()].first].address,
                      code[blocks[*body.rbegin()].last].address, own};
  }
  if (!hottest.is_loop) {
    hottest.begin = code.front().address;
    hottest.end = code.back().address;
    count(code, 0, code.size() - 1, hottest.counts);
  }
  return hottest;
}

}  // namespace hipforge::harness
