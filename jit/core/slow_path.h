// What every engine does alike when the straight path ends: misses, checks, named operations.
//
// One per vCPU, shared by its engines. Functions that return false have set fault(); the state is
// still that before the instruction.
#pragma once

#include <optional>

#include "cpu/context.h"
#include "jit/core/stop.h"
#include "mmu/mmu.h"
#include "translator/ir/block.h"

namespace penumbra::jit {

class SlowPath {
 public:
  SlowPath(cpu::CpuContext& context, mmu::Mmu& mmu) : context_(context), mmu_(mmu) {}

  /// Code of `mode` runs from now on.
  void set_mode(CodeMode mode);

  const Fault& fault() const { return fault_; }
  void set_fault(const Fault& fault) { fault_ = fault; }

  /// RIP of an offset from the code base, truncated as the mode says.
  u64 rip_at(u64 offset) const { return (context_.state.code_base + offset) & rip_mask_; }
  u64 linear_mask() const { return rip_mask_; }
  /// Whether RIP may become `rip`: canonical in 64-bit mode, within CS's limit elsewhere.
  bool valid_target(u64 rip) const {
    bool is_long = rip_mask_ == ~0ull;
    return is_long ? static_cast<u64>(static_cast<i64>(rip << 16) >> 16) == rip
                   : rip <= context_.state.seg(Segment::Cs).limit;
  }

  bool read(Segment segment, u64 linear, void* out, u32 size);
  bool read_for_write(Segment segment, u64 linear, void* out, u32 size);
  bool write(Segment segment, u64 linear, const void* in, u32 size);
  /// Op::Linear; `form` is its immediate.
  bool linear_address(Segment segment, u64 form, u64 offset, u64& linear);
  /// Op::CheckFpu.
  bool check_fpu();
  bool check_aligned(u64 linear, u64 alignment);
  /// Op::EndSse: false where an unmasked exception stops the instruction.
  bool end_checked_sse(u64 form, cpu::Slot a, cpu::Slot b, cpu::Slot c);
  /// Calls the named operation of `at`, in front of which the state is precise. Nothing: the block
  /// goes on, `rest` instructions of it charged; else why it stops, all state current. `valid`
  /// tells, behind the call, whether the block still is.
  std::optional<Stop> call(const translator::CallSite& site, const translator::InstructionSite& at,
                           i64 rest, const bool& valid);

 private:
  /// Whether all bytes are canonical, or below a flat segment's limit.
  bool in_range(Segment segment, u64 linear, u32 size);
  bool finish(const Expected<>& result);
  cpu::Outcome invoke(const translator::CallSite& site);
  /// The instruction has retired: RIP is behind it.
  Stop retire(const translator::InstructionSite& at, Stop stop);

  cpu::CpuContext& context_;
  mmu::Mmu& mmu_;
  Fault fault_;
  CodeMode mode_;
  u64 rip_mask_ = ~0ull;
};

}  // namespace penumbra::jit
