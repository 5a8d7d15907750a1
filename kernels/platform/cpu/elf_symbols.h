// What the symbol tables of the program and its libraries tell: names of kernels, places of shared arrays.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace hipforge::cpu {

struct LoadedObject {
  std::string path;  // a file that can be opened
  uintptr_t load_base = 0;
  unsigned char* tls_begin = nullptr;  // of the calling thread; null if it has none, or none yet
  size_t tls_bytes = 0;
};

/// The object that `code` was loaded from.
std::optional<LoadedObject> object_of_code(const void* code);
/// The object whose thread-local variables of the calling thread hold `address`.
std::optional<LoadedObject> object_of_thread_local(const void* address);

struct ThreadLocalSymbol {
  std::string name;
  size_t offset = 0;  // from the start of the object's thread-local block
  size_t bytes = 0;
};

/// In the order of their offsets, each once; nothing if the object has no full symbol table.
std::optional<std::vector<ThreadLocalSymbol>> thread_local_symbols(const LoadedObject& object);

/// The symbol of exactly this function, local ones included; "" if there is none.
std::string function_symbol(const void* function);

/// "softmax_f32_w32" as it is, "_Z6reduceILi32EEvPf" as "reduce<32>".
std::string readable_name(const std::string& symbol);

}  // namespace hipforge::cpu
