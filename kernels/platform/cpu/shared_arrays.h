// The static shared arrays of kernels: where they lie, and what keeps them honest.
//
// `__shared__ T name[N];` becomes a thread_local array beside a thread_local RedZone. Neither knows the
// other's address, but the symbol table of the program or module does: an array and its red zone are local
// variables of one function, so their symbols start alike, and compilers lay them out in the order of their
// declaration, or in its reverse, so that a red zone stands on both sides of every array.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include <hipforge_cpu/qualifiers.h>

namespace hipforge::cpu {

/// Bytes of static shared memory that the kernel itself declares, not those of functions that it calls.
size_t static_shared_bytes(const void* function, const std::string& symbol);

/// Forgets what is known of the program's libraries: one was unloaded.
void forget_shared_arrays();

/// One worker's view: the arrays that the current block has reached.
class SharedArrays {
 public:
  /// The block reached a declaration for the first time: fills the arrays of its function and starts to
  /// watch what lies around them. "" or why the block must end.
  std::string enter(RedZone* zone, size_t dynamic_bytes, size_t limit_bytes);
  /// Calls visit(begin, bytes, name) for each array that the current block has reached.
  template <typename Visit>
  void for_each_entered(Visit&& visit) const {
    for (const Scope* scope : entered_) {
      for (const Array& array : scope->arrays) visit(array.begin, array.bytes, array.name);
    }
  }
  /// At the end of a block: what was written outside an array, or "".
  std::string leave() { return entered_.empty() ? std::string() : leave_entered(); }

 private:
  struct Array {
    unsigned char* begin;
    size_t bytes;
    std::string name;
  };
  struct Red {
    unsigned char* begin;
    unsigned char* end;
  };
  struct Scope {
    std::vector<RedZone*> zones;
    std::vector<Array> arrays;
    std::vector<Red> reds;
    size_t bytes = 0;
    bool entered = false;
  };

  void add_scopes_of(RedZone* zone);
  std::string leave_entered();
  std::string describe(const unsigned char* broken) const;

  std::vector<std::unique_ptr<Scope>> scopes_;
  std::unordered_map<RedZone*, Scope*> scope_of_zone_;  // null: nothing is known
  std::vector<Scope*> entered_;
  size_t entered_bytes_ = 0;
  uint64_t epoch_ = 0;
};

}  // namespace hipforge::cpu
