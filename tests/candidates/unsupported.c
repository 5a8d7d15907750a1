/* The header is plain C; and a candidate that supports nothing. */
#include <hipforge_candidate.h>

int hipforge_candidate_softmax(const hipforge_softmax_params* params, hipforge_stream stream) {
  (void)params;
  (void)stream;
  return HIPFORGE_CANDIDATE_UNSUPPORTED;
}
