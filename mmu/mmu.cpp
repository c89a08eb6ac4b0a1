#include "mmu/mmu.h"

#include <algorithm>
#include <bit>

#include "mmu/crossing.h"
#include "mmu/translator.h"

namespace penumbra::mmu {
namespace {

/// MMIO goes to the bus in naturally aligned 1, 2, 4 and 8-byte fragments.
u32 fragment_size(u64 physical, u32 size) {
  u32 aligned = 1u << std::countr_zero(physical | 8);
  return std::min(aligned, std::bit_floor(size));
}

}  // namespace

struct Mmu::Impl {
  Impl(PhysicalMemory& memory, ExternalBuffer& external)
      : memory(memory), external(external), translator(memory, counters) {}

  Expected<> check_alignment(u64 linear, u32 size, Privilege privilege) const;
  Expected<> read_slow(u64 linear, void* out, u32 size, Access access, Privilege privilege);
  Expected<> write_slow(u64 linear, const u8* in, u32 size, Privilege privilege);
  Expected<> read_mmio(u64 physical, u8* out, u32 size);
  Expected<> write_mmio(u64 physical, const u8* in, u32 size);

  PhysicalMemory& memory;
  ExternalBuffer& external;
  Counters counters;
  Translator translator;
};

/// SDM 3A table 6-7, as the reference vendor does it: vectors of any size want 16 bytes, x87 images
/// the natural alignment of their words, and #AC goes before page faults.
Expected<> Mmu::Impl::check_alignment(u64 linear, u32 size, Privilege privilege) const {
  if (privilege != Privilege::Current || !translator.strict()) return {};
  u32 alignment = size == 10 ? 8 : size == 6 ? 4 : std::min(size & -size, 16u);
  if (linear & (alignment - 1)) return std::unexpected(Fault::of(Vector::Ac));
  return {};
}

// -- MMIO ----------------------------------------------------------------------------------------

Expected<> Mmu::Impl::read_mmio(u64 physical, u8* out, u32 size) {
  while (size) {
    u32 fragment = fragment_size(physical, size);
    TRY_ASSIGN(u64 value,
               external.read(ExternalAccess::Space::Mmio, physical, static_cast<u8>(fragment)));
    std::memcpy(out, &value, fragment);
    physical += fragment;
    out += fragment;
    size -= fragment;
  }
  return {};
}

Expected<> Mmu::Impl::write_mmio(u64 physical, const u8* in, u32 size) {
  while (size) {
    u32 fragment = fragment_size(physical, size);
    u64 value = 0;
    std::memcpy(&value, in, fragment);
    TRY(external.write(ExternalAccess::Space::Mmio, physical, static_cast<u8>(fragment), value));
    physical += fragment;
    in += fragment;
    size -= fragment;
  }
  return {};
}

// -- accesses ------------------------------------------------------------------------------------

/// `access` is Write for the read half of a read-modify-write.
Expected<> Mmu::Impl::read_slow(u64 linear, void* out, u32 size, Access access,
                                Privilege privilege) {
  ++counters.slow_reads;
  TRY(check_alignment(linear, size, privilege));
  Pieces pieces(linear, size);
  Targets targets;
  TRY(translator.translate(pieces, access, privilege, targets));
  for (u8 i = 0; i < pieces.count; ++i) {
    u8* to = static_cast<u8*>(out) + pieces.at[i].done;
    if (targets[i].mmio()) {
      TRY(read_mmio(targets[i].physical, to, pieces.at[i].size));
    } else {
      copy_bytes(to, targets[i].location.host, pieces.at[i].size);
    }
  }
  return {};
}

/// MMIO first: it may stop the instruction, and then RAM must not have changed.
Expected<> Mmu::Impl::write_slow(u64 linear, const u8* in, u32 size, Privilege privilege) {
  ++counters.slow_writes;
  TRY(check_alignment(linear, size, privilege));
  Pieces pieces(linear, size);
  Targets targets;
  TRY(translator.translate(pieces, Access::Write, privilege, targets));
  for (u8 i = 0; i < pieces.count; ++i)
    if (targets[i].mmio())
      TRY(write_mmio(targets[i].physical, in + pieces.at[i].done, pieces.at[i].size));
  for (u8 i = 0; i < pieces.count; ++i) {
    if (targets[i].mmio() || targets[i].location.rom) continue;
    u32 offset = pieces.at[i].linear & kPageMask;
    memory.store(targets[i].location.page, offset, in + pieces.at[i].done, pieces.at[i].size);
  }
  return {};
}

Expected<> Mmu::read(u64 linear, void* out, u32 size, Privilege privilege) {
  const ShadowTable& view = impl_->translator.table(privilege);
  if (const u8* host = view.for_read(linear, size)) {
    copy_bytes(out, host, size);
    return {};
  }
  if (Across two = across(view, linear, size, Access::Read)) {
    two.read(out, size);
    return {};
  }
  return impl_->read_slow(linear, out, size, Access::Read, privilege);
}

Expected<> Mmu::read_for_write(u64 linear, void* out, u32 size) {
  const ShadowTable& view = impl_->translator.table();
  if (const u8* host = view.for_tracked_write(linear, size)) {
    copy_bytes(out, host, size);
    return {};
  }
  if (Across two = across(view, linear, size, Access::Write)) {
    two.read(out, size);
    return {};
  }
  return impl_->read_slow(linear, out, size, Access::Write, Privilege::Current);
}

Expected<> Mmu::write(u64 linear, const void* in, u32 size, Privilege privilege) {
  const ShadowTable& view = impl_->translator.table(privilege);
  if (u8* host = view.for_write(linear, size)) {
    copy_bytes(host, in, size);
    return {};
  }
  if (Across two = across(view, linear, size, Access::Write)) {
    two.write(in, size);
    return {};
  }
  RamPage page = impl_->translator.tracked_page(linear, size, privilege);
  if (page != kNoPage) {
    ++impl_->counters.slow_writes;
    impl_->memory.store(page, linear & kPageMask, in, size);
    return {};
  }
  return impl_->write_slow(linear, static_cast<const u8*>(in), size, privilege);
}

Expected<> Mmu::probe(u64 linear, u32 size, Access access, Privilege privilege) {
  if (!size) return {};
  if (access != Access::Execute) TRY(impl_->check_alignment(linear, size, privilege));
  Targets targets;
  return impl_->translator.translate(Pieces(linear, size), access, privilege, targets);
}

Expected<u8*> Mmu::span(u64 linear, Access access, Privilege privilege, u32& length) {
  length = static_cast<u32>(kPageSize - (linear & kPageMask));
  const ShadowTable& table = impl_->translator.table(privilege);
  u8* host = access == Access::Read    ? table.for_read(linear, 1)
             : access == Access::Write ? table.for_write(linear, 1)
                                       : const_cast<u8*>(table.for_execute(linear));
  if (host) return host;
  TRY_ASSIGN(Target target, impl_->translator.translate(linear, access, privilege));
  bool checked = privilege == Privilege::Current && impl_->translator.strict();
  if (target.mmio() || checked) return nullptr;
  if (access != Access::Write) return target.location.host;
  bool writable = !target.location.rom &&
                  impl_->memory.bulk_writable(target.location.page, linear & kPageMask, length);
  return writable ? target.location.host : nullptr;
}

u8* Mmu::direct(u64 linear, u32 size, Access access) {
  const ShadowTable& table = impl_->translator.table();
  return access == Access::Write ? table.for_write(linear, size) : table.for_read(linear, size);
}

Expected<GuestPhys> Mmu::fetch(u64 linear) {
  TRY_ASSIGN(Target target,
             impl_->translator.translate(linear, Access::Execute, Privilege::Current));
  if (target.mmio()) return std::unexpected(Fault::gp());
  return GuestPhys{target.physical};
}

bool Mmu::peek(u64 linear, GuestPhys& physical) const {
  return impl_->translator.peek(linear, physical.value);
}

// -- context -------------------------------------------------------------------------------------

void Mmu::set_context(const PagingContext& context) {
  if (context != impl_->translator.context()) impl_->translator.set_context(context);
}
ShadowTable* Mmu::set_privilege(u8 cpl, bool ac) {
  impl_->translator.set_privilege(cpl, ac);
  return &impl_->translator.table();
}
void Mmu::write_cr3(u64 value) { impl_->translator.write_cr3(value); }
// Shadow tables are never stale (shadow_cache.h): there is nothing to invalidate.
void Mmu::invalidate_page(u64) {}
void Mmu::invalidate_pcid(u64, u16, u64) {}

Mmu::Mmu(AddressSpace& space, ExternalBuffer& external)
    : impl_(std::make_unique<Impl>(space.impl_->memory, external)) {}
Mmu::~Mmu() = default;

const PagingContext& Mmu::context() const { return impl_->translator.context(); }
ShadowTable* Mmu::table() const { return &impl_->translator.table(); }
const Mmu::Counters& Mmu::counters() const { return impl_->counters; }

}  // namespace penumbra::mmu
