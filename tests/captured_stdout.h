#pragma once

#include <gtest/gtest.h>

#include <string>

namespace hipforge {

/// What is written to standard output while this lives goes to `output`, whatever is thrown meanwhile.
class CapturedStdout {
 public:
  explicit CapturedStdout(std::string& output) : output_(output) { ::testing::internal::CaptureStdout(); }
  ~CapturedStdout() { output_ = ::testing::internal::GetCapturedStdout(); }
  CapturedStdout(const CapturedStdout&) = delete;
  CapturedStdout& operator=(const CapturedStdout&) = delete;

 private:
  std::string& output_;
};

}  // namespace hipforge
