#include "shared_arrays.h"

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <cstring>
#include <map>
#include <mutex>

#include "canary.h"
#include "elf_symbols.h"
#include "sanitizer.h"
#include "worker.h"

namespace hipforge::cpu {
namespace {

constexpr const char kZoneName[] = "hipforge_red_zone_";

/// The shared arrays of one function, as offsets into its object's thread-local block.
struct ScopeLayout {
  struct Range {
    size_t begin;
    size_t end;
  };
  struct ArrayLayout {
    size_t offset;
    size_t bytes;
    std::string name;
  };
  std::vector<size_t> zones;
  std::vector<ArrayLayout> arrays;
  std::vector<Range> padding;  // behind an array, up to the next symbol
};

/// By the mangled prefix of the function's local variables ("_ZZ6kernelE").
using ObjectLayout = std::map<std::string, ScopeLayout>;

struct Layouts {
  std::mutex mutex;
  std::map<std::pair<std::string, uintptr_t>, std::shared_ptr<const ObjectLayout>> objects;
  std::atomic<uint64_t> epoch = 1;
};

Layouts& layouts() {
  static Layouts& instance = *new Layouts;
  return instance;
}

/// "_ZZ6kernelE" of "_ZZ6kernelE21hipforge_red_zone_17"; "" of any other symbol.
std::string zone_prefix(const std::string& symbol) {
  size_t end = symbol.find(kZoneName);
  if (end == std::string::npos) return "";
  while (end > 0 && symbol[end - 1] >= '0' && symbol[end - 1] <= '9') --end;
  return symbol.substr(0, end);
}

/// "part" of "4part_0".
std::string source_name(const std::string& mangled) {
  size_t digits = 0;
  size_t length = 0;
  while (digits < mangled.size() && mangled[digits] >= '0' && mangled[digits] <= '9') {
    length = length * 10 + static_cast<size_t>(mangled[digits++] - '0');
  }
  return length > 0 && length <= mangled.size() - digits ? mangled.substr(digits, length) : mangled;
}

std::shared_ptr<const ObjectLayout> read_layout(const LoadedObject& object) {
  auto layout = std::make_shared<ObjectLayout>();
  const auto symbols = thread_local_symbols(object);
  if (!symbols.has_value()) {
    std::fprintf(
        stderr,
        "hipforge cpu: %s has no symbol table; its static shared arrays are neither filled nor watched\n",
        object.path.c_str());
    return layout;
  }
  for (const ThreadLocalSymbol& symbol : *symbols) {
    const std::string prefix = zone_prefix(symbol.name);
    if (!prefix.empty()) (*layout)[prefix].zones.push_back(symbol.offset);
  }
  for (size_t i = 0; i < symbols->size(); ++i) {
    const ThreadLocalSymbol& symbol = (*symbols)[i];
    if (!zone_prefix(symbol.name).empty()) continue;
    // The longest prefix that fits: the greatest one not above the name.
    auto scope = layout->upper_bound(symbol.name);
    if (scope == layout->begin()) continue;
    --scope;
    if (symbol.name.compare(0, scope->first.size(), scope->first) != 0) continue;
    scope->second.arrays.push_back(
        {symbol.offset, symbol.bytes, source_name(symbol.name.substr(scope->first.size()))});
    const size_t end = symbol.offset + symbol.bytes;
    const size_t next = i + 1 < symbols->size() ? (*symbols)[i + 1].offset : object.tls_bytes;
    if (next > end && next - end < alignof(RedZone)) scope->second.padding.push_back({end, next});
  }
  return layout;
}

std::shared_ptr<const ObjectLayout> layout_of(const LoadedObject& object) {
  const std::lock_guard lock(layouts().mutex);
  auto& layout = layouts().objects[{object.path, object.load_base}];
  if (layout == nullptr) layout = read_layout(object);
  return layout;
}

}  // namespace

size_t static_shared_bytes(const void* function, const std::string& symbol) {
  if (symbol.empty()) return 0;
  const std::optional<LoadedObject> object = object_of_code(function);
  if (!object.has_value() || object->tls_bytes == 0) return 0;
  const std::string prefix = symbol.rfind("_Z", 0) == 0
                                 ? "_ZZ" + symbol.substr(2) + "E"
                                 : "_ZZ" + std::to_string(symbol.size()) + symbol + "E";
  const auto layout = layout_of(*object);
  const auto scope = layout->find(prefix);
  if (scope == layout->end()) return 0;
  size_t bytes = 0;
  for (const auto& array : scope->second.arrays) bytes += array.bytes;
  return bytes;
}

void forget_shared_arrays() {
  const std::lock_guard lock(layouts().mutex);
  layouts().objects.clear();
  ++layouts().epoch;
}

void SharedArrays::add_scopes_of(RedZone* zone) {
  scope_of_zone_[zone] = nullptr;
  const std::optional<LoadedObject> object = object_of_thread_local(zone);
  if (!object.has_value()) return;
  for (const auto& [prefix, layout] : *layout_of(*object)) {
    auto scope = std::make_unique<Scope>();
    for (const size_t offset : layout.zones) {
      auto* other = reinterpret_cast<RedZone*>(object->tls_begin + offset);
      scope->zones.push_back(other);
      scope->reds.push_back({other->before, other->before + sizeof(other->before)});
      scope->reds.push_back({other->after, other->after + sizeof(other->after)});
      scope_of_zone_[other] = scope.get();
    }
    for (const auto& array : layout.arrays) {
      scope->arrays.push_back({object->tls_begin + array.offset, array.bytes, array.name});
      scope->bytes += array.bytes;
    }
    for (const auto& padding : layout.padding) {
      scope->reds.push_back({object->tls_begin + padding.begin, object->tls_begin + padding.end});
    }
    for (const Red& red : scope->reds) {
      unpoison(red.begin, static_cast<size_t>(red.end - red.begin));  // from before libraries were forgotten
      write_canary(red.begin, red.end);
      poison(red.begin, static_cast<size_t>(red.end - red.begin));
    }
    for (const Array& array : scope->arrays) poison(array.begin, array.bytes);
    scopes_.push_back(std::move(scope));
  }
}

std::string SharedArrays::enter(RedZone* zone, size_t dynamic_bytes, size_t limit_bytes) {
  if (epoch_ != layouts().epoch) {
    scopes_.clear();
    scope_of_zone_.clear();
    epoch_ = layouts().epoch;
  }
  auto known = scope_of_zone_.find(zone);
  if (known == scope_of_zone_.end()) {
    add_scopes_of(zone);
    known = scope_of_zone_.find(zone);
  }
  Scope* scope = known->second;
  zone->block = current_block;
  if (scope == nullptr) return "";
  for (RedZone* other : scope->zones) other->block = current_block;
  if (scope->entered) return "";  // the stamp itself was overwritten; leave() will tell
  scope->entered = true;
  entered_.push_back(scope);
  entered_bytes_ += scope->bytes;
  for (const Array& array : scope->arrays) {
    unpoison(array.begin, array.bytes);
    std::memset(array.begin, kPoisonByte, array.bytes);
  }
  if (entered_bytes_ + dynamic_bytes > limit_bytes) {
    return std::to_string(entered_bytes_) + " bytes of static and " + std::to_string(dynamic_bytes) +
           " of dynamic shared memory; at most " + std::to_string(limit_bytes);
  }
  return "";
}

std::string SharedArrays::leave_entered() {
  const QuietAccess quiet;
  std::string text;
  for (Scope* scope : entered_) {
    scope->entered = false;
    for (const Red& red : scope->reds) {
      if (poison_is_watched()) break;
      const unsigned char* broken = find_broken_canary(red.begin, red.end);
      if (broken == nullptr) continue;
      if (text.empty()) text = describe(broken);
      write_canary(red.begin, red.end);
    }
    for (const Array& array : scope->arrays) poison(array.begin, array.bytes);
  }
  entered_.clear();
  entered_bytes_ = 0;
  return text;
}

std::string SharedArrays::describe(const unsigned char* broken) const {
  const Array* nearest = nullptr;
  ptrdiff_t distance = PTRDIFF_MAX;
  for (const Scope* scope : entered_) {
    for (const Array& array : scope->arrays) {
      const ptrdiff_t away =
          broken < array.begin ? array.begin - broken : broken - (array.begin + array.bytes) + 1;
      if (away >= distance) continue;
      distance = away;
      nearest = &array;
    }
  }
  if (nearest == nullptr) return "out-of-bounds write beside a shared array";
  const std::string array =
      "shared array " + nearest->name + " of " + std::to_string(nearest->bytes) + " bytes";
  return broken < nearest->begin
             ? "out-of-bounds write " + std::to_string(distance) + " bytes before the " + array
             : "out-of-bounds write " + std::to_string(distance - 1) + " bytes past the end of the " + array;
}

}  // namespace hipforge::cpu
