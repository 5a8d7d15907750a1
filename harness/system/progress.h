#pragma once

#include <fmt/format.h>

#include <unistd.h>

#include <chrono>
#include <cstddef>
#include <cstdio>
#include <string>

namespace hipforge::harness {

/// A line on the terminal that says how far a run is; nothing where stderr is no terminal.
class Progress {
 public:
  explicit Progress(std::size_t total) : total_(total), on_(isatty(STDERR_FILENO) != 0) {}
  ~Progress() { clear(); }
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  void step(const std::string& id) {
    ++done_;
    const auto now = std::chrono::steady_clock::now();
    if (!on_ || now - shown_ < std::chrono::milliseconds(100)) return;
    shown_ = now;
    const double spent = std::chrono::duration<double>(now - start_).count();
    const double left = spent / static_cast<double>(done_) * static_cast<double>(total_ - done_);
    fmt::print(stderr, "\r\033[K{}/{}  {:.0f} s left  {}", done_, total_, left, id.substr(0, 80));
    std::fflush(stderr);
  }
  void clear() const {
    if (on_) fmt::print(stderr, "\r\033[K");
  }

 private:
  std::size_t total_;
  std::size_t done_ = 0;
  bool on_;
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
  std::chrono::steady_clock::time_point shown_ = start_;
};

}  // namespace hipforge::harness
