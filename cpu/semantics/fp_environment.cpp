#include "cpu/semantics/fp_environment.h"

namespace penumbra::cpu::fp_environment {
namespace {

// Volatile, so that they keep their order among the arithmetic, which is volatile too.
u32 read_host() {
  u32 mxcsr;
  asm volatile("stmxcsr %0" : "=m"(mxcsr));
  return mxcsr;
}
void write_host(u32 mxcsr) { asm volatile("ldmxcsr %0" : : "m"(mxcsr)); }

}  // namespace

void enter(u32 guest_mxcsr) { write_host((guest_mxcsr & Mxcsr::kDefined) | Mxcsr::kMasks); }

u32 leave(u32 guest_mxcsr) {
  u32 sticky = read_host() & Mxcsr::kSticky;
  write_host(Mxcsr::kDefault);
  return guest_mxcsr | sticky;
}

u32 begin_checked(u32 guest_mxcsr) {
  u32 host = read_host();
  write_host(host & ~Mxcsr::kSticky);
  return guest_mxcsr | (host & Mxcsr::kSticky);
}

Checked end_checked(u32 guest_mxcsr) {
  constexpr u32 kPreComputation = Mxcsr::kIe | Mxcsr::kDe | Mxcsr::kZe;
  u32 host = read_host(), raised = host & Mxcsr::kSticky;
  u32 unmasked = Mxcsr::unmasked(guest_mxcsr);
  if (raised & unmasked & kPreComputation) raised &= kPreComputation;
  write_host((host & ~Mxcsr::kSticky) | raised);
  return {guest_mxcsr | raised, (raised & unmasked) != 0};
}

}  // namespace penumbra::cpu::fp_environment
