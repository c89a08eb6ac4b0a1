#include "cpu/semantics/fp_environment.h"

namespace penumbra::cpu::fp_environment {

void enter(u32 guest_mxcsr) { write_host((guest_mxcsr & Mxcsr::kDefined) | Mxcsr::kMasks); }

u32 leave(u32 guest_mxcsr) {
  u32 sticky = read_host() & Mxcsr::kSticky;
  write_host(Mxcsr::kDefault);
  return guest_mxcsr | sticky;
}

}  // namespace penumbra::cpu::fp_environment
