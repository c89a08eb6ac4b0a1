// The trace of executed instructions: one line each, with what it changed.
//
//   ffffffff81000000  48 89 e5              mov rbp, rsp        rbp=ffffc90000003f58
//
// A step tells the state before an instruction, so its line is written when the next step shows
// what became of the registers. Buffered; the last lines are written by destruction. The first
// step's line shows no changes of earlier instructions.
#pragma once

#include <array>
#include <cstdio>
#include <expected>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "common/code_mode.h"

namespace penumbra::debug {

/// General registers by their number, then the flags.
struct TracedRegisters {
  static constexpr size_t kFlags = 16, kCount = 17;
  std::array<u64, kCount> values{};
};

struct ExecStep {
  u64 rip = 0;  ///< linear address of the instruction
  CodeMode mode;
  std::span<const u8> code;  ///< at most 15 bytes; empty where nothing can be fetched
  TracedRegisters registers;
};

class ExecTrace {
 public:
  /// The error is one line for the user.
  static std::expected<std::unique_ptr<ExecTrace>, std::string> open(const std::string& path);
  ~ExecTrace();
  ExecTrace(const ExecTrace&) = delete;

  void step(const ExecStep& step);

 private:
  struct Listed {
    u64 rip = ~0ull;
    u32 mode = 0;
    std::array<u8, 15> code{};
    u8 length = 0;
    bool repeats = false;  ///< has a REP prefix
    std::string text;
  };
  static constexpr size_t kCacheEntries = 1 << 14;

  explicit ExecTrace(std::FILE* file) : file_(file), cache_(kCacheEntries) {}
  const Listed& listing(const ExecStep& step);
  void write_line(const TracedRegisters& after);

  std::FILE* file_;
  std::vector<Listed> cache_;
  const Listed* current_ = nullptr;  ///< what is being executed, nullptr before the first step
  TracedRegisters before_;
};

}  // namespace penumbra::debug
