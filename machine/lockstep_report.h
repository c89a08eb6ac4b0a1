// What is told about the first difference between two engines.
#pragma once

#include <array>
#include <deque>
#include <optional>
#include <string>
#include <vector>

#include "common/code_mode.h"
#include "machine/machine_pair.h"

namespace penumbra::machine {

struct Divergence {
  u64 instructions = 0;  ///< retired by the reference when the machines first differ
  u64 rip = 0;  ///< linear address of the last of them; where they are now if that is unknown
  std::vector<std::string> fields;  ///< Difference::where
  std::string report;               ///< lines for the user

  template <class A>
  void serialize(A& archive) {
    archive(instructions, rip, fields, report);
  }
};

std::string encode(const std::optional<Divergence>& found);
std::optional<Divergence> decode(const std::string& bytes);

/// The last instructions that the reference began while this exists.
class RecentInstructions {
 public:
  struct Instruction {
    u64 rip = 0, linear = 0;
    CodeMode mode;
    std::array<u8, 15> code{};
    u8 length = 0;  ///< 0: nothing could be fetched
  };

  explicit RecentInstructions(Vm& vm);
  ~RecentInstructions();
  RecentInstructions(const RecentInstructions&) = delete;

  const std::deque<Instruction>& all() const { return recent_; }
  /// Those behind the last taken branch, in one page.
  std::vector<Instruction> last_line() const;

 private:
  static constexpr size_t kMost = 64;
  void add(const cpu::CpuState& state);

  Vm& vm_;
  std::deque<Instruction> recent_;
};

/// Of two machines that differ now; `recent` may be nullptr.
Divergence describe(MachinePair& pair, const RecentInstructions* recent);

}  // namespace penumbra::machine
