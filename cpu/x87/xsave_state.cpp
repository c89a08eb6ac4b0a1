#include "cpu/x87/xsave_state.h"

#include "cpu/x87/legacy_region.h"
#include "cpu/x87/unit.h"

namespace penumbra::cpu {
namespace {

using namespace x87;

bool x87_in_use(const X87State& x87) {
  bool initial = x87.control == Control::kInitial && x87.status == 0 && x87.tags == 0 &&
                 x87.opcode == 0 && x87.ip == 0 && x87.dp == 0 && x87.cs == 0 && x87.ds == 0;
  for (const X87Register& reg : x87.registers) initial &= reg.mantissa == 0 && reg.exponent == 0;
  return !initial;
}

bool lanes_in_use(const CpuState& state, unsigned first_lane) {
  u64 any = 0;
  for (unsigned i = 0; i < xmm_count(state); ++i)
    any |= state.vector[i].lanes[first_lane] | state.vector[i].lanes[first_lane + 1];
  return any != 0;
}

}  // namespace

u64 xsave_in_use(const CpuState& state) {
  constexpr u64 kX87 = 1, kSse = 2, kAvx = 4;
  return (x87_in_use(state.x87) ? kX87 : 0) | (lanes_in_use(state, 0) ? kSse : 0) |
         (lanes_in_use(state, 2) ? kAvx : 0);
}

}  // namespace penumbra::cpu
