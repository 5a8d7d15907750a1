#include "hipforge_mutant.h"

#include <cstdlib>

namespace {

int number_asked_for() {
  const char* text = std::getenv("HIPFORGE_MUTANT");
  return text == nullptr ? 0 : std::atoi(text);
}

}  // namespace

const int hipforge_active_mutant = number_asked_for();
