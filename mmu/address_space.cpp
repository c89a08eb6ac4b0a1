#include "mmu/address_space.h"

#include <algorithm>

#include "mmu/physical_memory.h"

namespace penumbra::mmu {
namespace {

/// Calls f(physical, length, done) for the part of [physical, +size) in each page.
template <class F>
void for_each_page(u64 physical, u64 size, F f) {
  for (u64 done = 0; done < size;) {
    u64 at = physical + done;
    u32 length = static_cast<u32>(std::min<u64>(size - done, kPageSize - (at & kPageMask)));
    f(at, length, done);
    done += length;
  }
}

}  // namespace

AddressSpace::AddressSpace() : impl_(std::make_unique<Impl>()) {}
AddressSpace::~AddressSpace() = default;

std::expected<std::unique_ptr<AddressSpace>, std::string> AddressSpace::create(u64 ram_bytes) {
  std::unique_ptr<AddressSpace> space(new AddressSpace);
  if (auto done = space->impl_->memory.allocate(ram_bytes); !done)
    return std::unexpected(done.error());
  return space;
}

void AddressSpace::map(GuestPhys physical, u64 size, u64 offset, SlotKind kind) {
  impl_->memory.map(physical.value, size, offset, kind);
}
void AddressSpace::unmap(GuestPhys physical, u64 size) {
  impl_->memory.unmap(physical.value, size);
}

void AddressSpace::set_a20(bool enabled) { impl_->memory.set_a20(enabled); }
bool AddressSpace::a20() const { return impl_->memory.a20(); }
u64 AddressSpace::ram_bytes() const { return impl_->memory.ram_bytes(); }
u8* AddressSpace::ram() const { return impl_->memory.ram(); }
void AddressSpace::ram_replaced() { impl_->memory.ram_replaced(); }

u8* AddressSpace::host(GuestPhys physical) const {
  return impl_->memory.locate(physical.value).host;
}

void AddressSpace::read(GuestPhys physical, void* out, u64 size) const {
  for_each_page(physical.value, size, [&](u64 at, u32 length, u64 done) {
    u8* to = static_cast<u8*>(out) + done;
    if (const u8* host = impl_->memory.locate(at).host) {
      copy_bytes(to, host, length);
    } else {
      std::memset(to, 0xff, length);
    }
  });
}

void AddressSpace::write(GuestPhys physical, const void* in, u64 size) {
  for_each_page(physical.value, size, [&](u64 at, u32 length, u64 done) {
    Location location = impl_->memory.locate(at);
    if (!location.host || location.rom) return;
    const u8* from = static_cast<const u8*>(in) + done;
    impl_->memory.store(location.page, at & kPageMask, from, length);
  });
}

void AddressSpace::mark_code(GuestPhys physical, u64 size) {
  impl_->memory.mark_code(physical.value, size);
}
void AddressSpace::clear_code(GuestPhys physical, u64 size) {
  impl_->memory.clear_code(physical.value, size);
}
StoreFilter AddressSpace::store_filter() const { return impl_->memory.store_filter(); }
void AddressSpace::set_code_observer(CodeObserver* observer) {
  impl_->memory.set_code_observer(observer);
}

void AddressSpace::start_dirty_log() { impl_->memory.start_dirty_log(); }
void AddressSpace::stop_dirty_log() { impl_->memory.stop_dirty_log(); }
std::vector<u64> AddressSpace::collect_dirty() { return impl_->memory.collect_dirty(); }

}  // namespace penumbra::mmu
