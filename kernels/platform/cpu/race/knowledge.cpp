#include "knowledge.h"

#include <algorithm>

namespace hipforge::cpu::race {

bool Knowledge::has(Stamp stamp) const {
  if (under_way(stamp)) return false;
  const auto run = runs.find(run_of(stamp));
  if (run == runs.end()) return false;
  if (barriers_of(stamp) < run->second.barriers) return true;
  const auto thread = run->second.before.find(thread_of(stamp));
  return thread != run->second.before.end() && progress(barriers_of(stamp), steps_of(stamp)) < thread->second;
}

void Knowledge::join(const Knowledge& other) {
  for (const auto& [run, theirs] : other.runs) {
    OfRun& ours = runs[run];
    ours.barriers = std::max(ours.barriers, theirs.barriers);
    for (const auto& [thread, before] : theirs.before) {
      uint64_t& known = ours.before[thread];
      known = std::max(known, before);
    }
  }
}

KnowledgePtr join(const KnowledgePtr& a, const KnowledgePtr& b) {
  if (a == nullptr || a == b) return b;
  if (b == nullptr) return a;
  auto both = std::make_shared<Knowledge>(*a);
  both->join(*b);
  return both;
}

}  // namespace hipforge::cpu::race
