// Whether the host CPU is of the reference vendor, whose undefined results the model reproduces.
#pragma once

#include <cpuid.h>

namespace penumbra::oracle {

inline bool host_is_reference_vendor() {
  unsigned eax = 0, ebx = 0, ecx = 0, edx = 0;
  __get_cpuid(0, &eax, &ebx, &ecx, &edx);
  return ebx == signature_AMD_ebx && ecx == signature_AMD_ecx && edx == signature_AMD_edx;
}

}  // namespace penumbra::oracle
