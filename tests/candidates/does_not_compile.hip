#include <hipforge_candidate.h>

int hipforge_candidate_softmax(const hipforge_softmax_params* params, hipforge_stream) {
  return params->no_such_member;
}
