// A look at every op that the runner launches.
#pragma once

#include "kernels/argmax.h"
#include "kernels/embedding.h"
#include "kernels/flash_attention.h"
#include "kernels/glu.h"
#include "kernels/kv_append.h"
#include "kernels/linear.h"
#include "kernels/rms_norm.h"
#include "kernels/rope.h"
#include "kernels/sample.h"

#include <cstdint>
#include <string_view>
#include <variant>

namespace hipforge::runner {

/// Where in the model an op stands.
struct OpSite {
  std::int64_t layer = -1;  // of the block; -1 outside of blocks
  std::string_view part;    // what it does there, named as the file names its weight: "attn_q", "output"
};

using OpParams = std::variant<EmbeddingParams, RmsNormParams, LinearParams, RopeParams, KvAppendParams,
                              FlashAttentionParams, GluParams, ArgmaxParams, SampleParams>;

class OpObserver {
 public:
  virtual ~OpObserver() = default;
  /// Called before the launch, with all earlier work of the stream complete: inputs are what the kernel will
  /// read.
  virtual void before(const OpSite& site, const OpParams& params) = 0;
  /// Called after the launch, with its work complete.
  virtual void after(const OpSite& site, const OpParams& params) = 0;
};

/// Launches ops on one stream, with an observer around each if there is one.
class OpRunner {
 public:
  explicit OpRunner(hipStream_t stream) : stream_(stream) {}

  [[nodiscard]] hipStream_t stream() const { return stream_; }
  /// Null for none; it must outlive the launches.
  void observe(OpObserver* observer) { observer_ = observer; }

  void operator()(const OpSite& site, const EmbeddingParams& params) { run(site, params, embedding); }
  void operator()(const OpSite& site, const RmsNormParams& params) { run(site, params, rms_norm); }
  void operator()(const OpSite& site, const LinearParams& params) { run(site, params, linear); }
  void operator()(const OpSite& site, const RopeParams& params) { run(site, params, rope); }
  void operator()(const OpSite& site, const KvAppendParams& params) { run(site, params, kv_append); }
  void operator()(const OpSite& site, const FlashAttentionParams& params) {
    run(site, params, flash_attention);
  }
  void operator()(const OpSite& site, const GluParams& params) { run(site, params, glu); }
  void operator()(const OpSite& site, const ArgmaxParams& params) { run(site, params, argmax); }
  void operator()(const OpSite& site, const SampleParams& params) { run(site, params, sample); }

 private:
  template <class Params>
  void run(const OpSite& site, const Params& params,
           Status (*launcher)(const Params&, hipStream_t, const Target&)) {
    if (observer_ == nullptr) {
      throw_if_error(launcher(params, stream_, kCurrentDevice));
      return;
    }
    synchronize();
    observer_->before(site, params);
    throw_if_error(launcher(params, stream_, kCurrentDevice));
    synchronize();
    observer_->after(site, params);
  }
  void synchronize() { throw_if_error(hip_status(hipStreamSynchronize(stream_), "hipStreamSynchronize")); }

  hipStream_t stream_;
  OpObserver* observer_ = nullptr;
};

}  // namespace hipforge::runner
