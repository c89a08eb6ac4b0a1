#include "jit/engines.h"

namespace penumbra::jit {

Engines::Engines(cpu::CpuContext& context, mmu::AddressSpace& space, mmu::Mmu& mmu)
    : space_(space),
      slow_(context, mmu),
      source_(context, space, mmu, slow_),
      interpreter_(context, slow_, source_) {
  space_.set_code_observer(this);
}

Engines::~Engines() { space_.set_code_observer(nullptr); }

Engines::Counters Engines::counters() const {
  return {.blocks = source_.counters().blocks,
          .instructions = source_.counters().instructions,
          .lookups = interpreter_.counters().lookups,
          .links = interpreter_.counters().links,
          .invalidations = invalidations_};
}

void Engines::code_written(GuestPhys address, u64 size) {
  invalidations_ += interpreter_.cache().invalidate(address, size);
  for (u64 page = page_of(address.value); page < address.value + size; page += kPageSize) {
    if (!interpreter_.cache().has_code({page})) space_.clear_code({page});
  }
}

}  // namespace penumbra::jit
