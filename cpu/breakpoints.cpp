#include "cpu/breakpoints.h"

namespace penumbra::cpu {
namespace {

constexpr unsigned kRegisters = 4;

struct Breakpoint {
  bool enabled;
  BreakpointKind kind;
  u64 address;  ///< aligned to the length, as the processor takes it
  u32 length;
};

/// LEN of DR7: 1, 2, 8 and 4 bytes.
Breakpoint breakpoint(const CpuState& state, unsigned i) {
  static constexpr u8 kLengths[] = {1, 2, 8, 4};
  u64 control = state.dr7 >> (16 + 4 * i);
  u32 length = kLengths[(control >> 2) & 3];
  bool enabled = (state.dr7 >> (2 * i)) & 3;
  auto kind = static_cast<BreakpointKind>(control & 3);
  if (kind == BreakpointKind::Port && !(state.cr4 & Cr4::kDe)) enabled = false;
  return {enabled, kind, state.dr[i] & ~u64{length - 1}, length};
}

bool overlaps(const Breakpoint& b, u64 address, u32 size) {
  return address < b.address + b.length && b.address < address + size;
}

template <class Matches>
u64 causes(const CpuState& state, Matches matches) {
  constexpr u64 kEnables = 0xff;
  if (!(state.dr7 & kEnables)) return 0;
  u64 found = 0;
  for (unsigned i = 0; i < kRegisters; ++i) {
    Breakpoint b = breakpoint(state, i);
    if (b.enabled && matches(b)) found |= bit(i);
  }
  return found;
}

}  // namespace

bool has_breakpoint(const CpuState& state, BreakpointKind kind) {
  return causes(state, [&](const Breakpoint& b) { return b.kind == kind; }) != 0;
}

u64 instruction_breakpoints(const CpuState& state, u64 linear) {
  if (state.flag(Flag::kRf)) return 0;
  return causes(state, [&](const Breakpoint& b) {
    return b.kind == BreakpointKind::Execute && b.address == linear;
  });
}

u64 data_breakpoints(const CpuState& state, u64 linear, u32 size, bool write) {
  return causes(state, [&](const Breakpoint& b) {
    bool watches =
        b.kind == BreakpointKind::ReadWrite || (write && b.kind == BreakpointKind::Write);
    return watches && overlaps(b, linear, size);
  });
}

u64 port_breakpoints(const CpuState& state, u16 port, u32 size) {
  return causes(state, [&](const Breakpoint& b) {
    return b.kind == BreakpointKind::Port && overlaps(b, port, size);
  });
}

}  // namespace penumbra::cpu
