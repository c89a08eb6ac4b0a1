#include "jit/stencil/straight.h"

#include "cpu/integer/straight_strings.h"
#include "mmu/shadow_table.h"

namespace penumbra::jit {
namespace {

/// instructions_left may be short by the rest of the block: then fewer iterations are allowed.
struct ViewInForce {
  cpu::CpuState& s;

  u8* direct(u64 linear, u32 size, Access access) const {
    const auto& view = *static_cast<const mmu::ShadowTable*>(s.table);
    return access == Access::Write ? view.for_write(linear, size) : view.for_read(linear, size);
  }
  u64 iterations_allowed() const {
    return s.instructions_left > 0 ? static_cast<u64>(s.instructions_left) * 8 : 0;
  }
  void charge(u64 bytes) const { cpu::charge_repeated(s, bytes); }
};

}  // namespace

bool may_be_straight(const translator::CallSite& call, CodeMode mode) {
  bool simple = mode.is_long() && call.operands.repeat != Repeat::None &&
                call.operands.address_width == Width::W64;
  return simple && (call.call.effects & translator::kStraight);
}

extern "C" bool penumbra_perform_straight(cpu::CpuState* s, const Site* site) {
  if (s->reg(cpu::Reg::Rcx) == 0) return true;
  const penumbra::Operands& operands = site->call->operands;
  ViewInForce host{*s};
  switch (site->call->call.effects & translator::kStraight) {
    case translator::CopiesStraight:
      return cpu::run_straight<cpu::StraightMovs>(*s, host, operands);
    case translator::FillsStraight:
      return cpu::run_straight<cpu::StraightStos>(*s, host, operands);
    case translator::ScansStraight:
      return cpu::search_straight<cpu::StraightScas>(*s, host, operands);
    default:
      return cpu::search_straight<cpu::StraightCmps>(*s, host, operands);
  }
}

}  // namespace penumbra::jit
