#pragma once

/// The number that the environment's HIPFORGE_MUTANT holds, 0 without one; read when the library is loaded.
extern "C" __attribute__((visibility("hidden"))) const int hipforge_active_mutant;

/// Whether a mutant is the one to be. On the cpu platform device code asks as host code does.
inline bool hipforge_mutant(int number) {
  return hipforge_active_mutant == number;
}
