#include "mmu/mmu.h"

#include <bit>

#include "mmu/shadow_cache.h"

namespace penumbra::mmu {
namespace {

constexpr u64 kNoFlushBit = bit(63);  // of a value moved to CR3 with CR4.PCIDE (SDM 3A 4.10.4.1)

Requester requester_of(const PagingContext& context, Privilege privilege) {
  if (privilege == Privilege::Implicit) return Requester::Supervisor;
  if (context.cpl == 3) return Requester::User;
  return context.ac ? Requester::SupervisorAc : Requester::Supervisor;
}

/// The part of an access that lies in one page.
struct Piece {
  u64 linear;
  u32 size, done;  ///< done: bytes of the access before this piece
};

struct Pieces {
  std::array<Piece, 2> at;
  u8 count = 0;

  Pieces(u64 linear, u32 size) {
    u64 left_in_page = kPageSize - (linear & kPageMask);
    u32 first = static_cast<u32>(std::min<u64>(size, left_in_page));
    at[count++] = {linear, first, 0};
    if (first != size) at[count++] = {linear + first, size - first, first};
  }
  const Piece* begin() const { return at.data(); }
  const Piece* end() const { return at.data() + count; }
};

/// MMIO goes to the bus in naturally aligned 1, 2, 4 and 8-byte fragments.
u32 fragment_size(u64 physical, u32 size) {
  u32 aligned = 1u << std::min(std::countr_zero(physical | 8), 3);
  return std::min(aligned, std::bit_floor(size));
}

/// Where a translated piece ended up.
struct Target {
  u64 physical = 0;
  Location location;
  bool mmio() const { return !location.host; }
};

}  // namespace

struct Mmu::Impl {
  Impl(PhysicalMemory& memory, ExternalBuffer& external)
      : memory(memory), external(external), walker(memory), shadows(memory, counters) {
    select_space(true);
  }

  // Choice of the tables in force.
  void select_space(bool reload_pdptes);
  void select_view();
  void load_pdptes();
  ShadowTable& table_for(Privilege privilege) {
    return privilege == Privilege::Current ? *current : shadows.view(*space, ViewKind::Supervisor);
  }
  ViewKind view_kind(Requester requester) const;
  bool strict() const { return context.ac && context.cpl == 3 && (context.cr0 & Control::kCr0Am); }

  // Translation: resolve() finds and checks, commit() has the effects.
  Expected<Walk> resolve(u64 linear, Access access, Requester requester);
  bool commit(Walk& walk, u64 linear, Access access, Requester requester);
  Expected<Target> translate(u64 linear, Access access, Requester requester);
  Expected<> translate(const Pieces& pieces, Access access, Privilege privilege,
                       std::array<Target, 2>& targets);
  void fill(const Walk& walk, u64 linear, Access access, Requester requester);

  Expected<> check_alignment(u64 linear, u32 size, Privilege privilege) const;
  Expected<> read_pieces(const Pieces& pieces, const std::array<Target, 2>& targets, u8* out);
  Expected<> write_pieces(const Pieces& pieces, const std::array<Target, 2>& targets, const u8* in);
  Expected<> read_mmio(u64 physical, u8* out, u32 size);
  Expected<> write_mmio(u64 physical, const u8* in, u32 size);

  PhysicalMemory& memory;
  ExternalBuffer& external;
  Counters counters;
  Walker walker;
  ShadowCache shadows;
  PagingContext context;
  PagingMode mode;
  Root pdptes;  ///< PDPTE registers (SDM 3A 4.4.1)
  ShadowSpace* space = nullptr;
  ShadowTable* current = nullptr;
};

// -- choice of the tables ------------------------------------------------------------------------

ViewKind Mmu::Impl::view_kind(Requester requester) const {
  if (requester == Requester::User && strict()) return ViewKind::Strict;
  if (mode.kind == PagingKind::Off) return ViewKind::Supervisor;
  if (requester == Requester::User) return ViewKind::User;
  return requester == Requester::SupervisorAc && mode.smap ? ViewKind::SupervisorAc
                                                           : ViewKind::Supervisor;
}

void Mmu::Impl::select_space(bool reload_pdptes) {
  mode = PagingMode::of(context);
  Root root;
  if (mode.kind == PagingKind::Pae) {
    if (reload_pdptes) load_pdptes();
    root = pdptes;
  } else if (mode.kind == PagingKind::Bits32) {
    root.value[0] = context.cr3 & 0xfffff000;
  } else if (mode.kind == PagingKind::Long) {
    root.value[0] = context.cr3 & ((1ull << kPhysicalBits) - 1) & ~kPageMask;
  }
  space = &shadows.space(root, mode);
  select_view();
}

void Mmu::Impl::select_view() {
  current = &shadows.view(*space, view_kind(requester_of(context, Privilege::Current)));
}

void Mmu::Impl::load_pdptes() {
  u64 table = context.cr3 & 0xffffffe0;
  for (unsigned i = 0; i < 4; ++i) {
    Location location = memory.locate(table + 8 * i);
    pdptes.value[i] = location.host ? load_from<u64>(location.host) : ~0ull;
  }
}

void Mmu::set_context(const PagingContext& context) {
  Impl& impl = *impl_;
  const PagingContext old = impl.context;
  if (context == old) return;
  impl.context = context;
  impl.context.cr3 &= ~kNoFlushBit;
  if (impl.context.cr3 == old.cr3 && context.cr0 == old.cr0 && context.cr4 == old.cr4 &&
      context.efer == old.efer && context.pkru == old.pkru)
    return impl.select_view();
  bool was_pae = impl.mode.kind == PagingKind::Pae;
  bool reload = !was_pae || impl.context.cr3 != old.cr3 ||
                ((context.cr0 ^ old.cr0) & Control::kCr0Reload) ||
                ((context.cr4 ^ old.cr4) & Control::kCr4Reload);
  impl.select_space(reload);
}

void Mmu::write_cr3(u64 value) {
  impl_->context.cr3 = value & ~kNoFlushBit;
  impl_->select_space(true);
}

// Shadow tables are never stale (shadow_cache.h): there is nothing to invalidate.
void Mmu::invalidate_page(u64) {}
void Mmu::invalidate_pcid(u64, u16, u64) {}

// -- translation ---------------------------------------------------------------------------------

Expected<Walk> Mmu::Impl::resolve(u64 linear, Access access, Requester requester) {
  if (!mode.canonical(linear)) return std::unexpected(Fault::gp());
  TableEntry leaf;
  Rights upper;
  Walk walk;
  if (space->known_leaf(linear, leaf, upper)) {
    walk = walker.walk_leaf(mode, leaf, upper);
  } else {
    ++counters.walks;
    walk = walker.walk(mode, space->root(), linear);
  }
  if (!walk.mapped() || !allows(mode, walk.rights, access, requester)) [[unlikely]]
    return std::unexpected(page_fault(mode, walk, linear, access, requester));
  return walk;
}

/// Sets A and D and fills the view; false when the tables have changed since resolve().
bool Mmu::Impl::commit(Walk& walk, u64 linear, Access access, Requester requester) {
  if (!walker.set_flags(mode, walk, access == Access::Write)) return false;
  if (!walk.in_ram) return true;
  if (!walk.from_leaf) space->learn(linear, walk);
  fill(walk, linear, access, requester);
  return true;
}

void Mmu::Impl::fill(const Walk& walk, u64 linear, Access access, Requester requester) {
  Location location = memory.locate(page_of(walk.physical(linear)));
  if (!location.host) return;
  if (access == Access::Write && !location.rom) memory.mark_dirty(location.page);
  ViewKind kind = view_kind(requester);
  bool dirty = !walk.count || (walk.leaf().value & Entry::kDirty);
  bool data = kind != ViewKind::Strict;
  Grant grant{location.host, location.page};
  grant.read = data && allows(mode, walk.rights, Access::Read, requester);
  grant.write = data && dirty && !location.rom && memory.facts(location.page).plain() &&
                allows(mode, walk.rights, Access::Write, requester);
  grant.execute = allows(mode, walk.rights, Access::Execute, requester);
  shadows.view(*space, kind);
  space->fill(kind, linear, grant);
  ++counters.fills;
}

Expected<Target> Mmu::Impl::translate(u64 linear, Access access, Requester requester) {
  linear = mode.wrap(linear);
  for (;;) {
    TRY_ASSIGN(Walk walk, resolve(linear, access, requester));
    if (!commit(walk, linear, access, requester)) continue;
    u64 physical = memory.bus_address(walk.physical(linear));
    return Target{physical, memory.locate(physical)};
  }
}

/// All pieces are checked before one of them has an effect.
Expected<> Mmu::Impl::translate(const Pieces& pieces, Access access, Privilege privilege,
                                std::array<Target, 2>& targets) {
  Requester requester = requester_of(context, privilege);
  if (pieces.count == 2)
    for (const Piece& piece : pieces) TRY(resolve(mode.wrap(piece.linear), access, requester));
  for (u8 i = 0; i < pieces.count; ++i) {
    TRY_ASSIGN(targets[i], translate(pieces.at[i].linear, access, requester));
  }
  return {};
}

// -- accesses ------------------------------------------------------------------------------------

/// SDM 3A table 6-7; wider operands have checks of their own.
Expected<> Mmu::Impl::check_alignment(u64 linear, u32 size, Privilege privilege) const {
  if (privilege != Privilege::Current || !strict() || size > 10) return {};
  u64 alignment = std::bit_floor(std::min(size, 8u));
  if (linear & (alignment - 1)) return std::unexpected(Fault::of(Vector::Ac));
  return {};
}

Expected<> Mmu::Impl::read_mmio(u64 physical, u8* out, u32 size) {
  while (size) {
    u32 fragment = fragment_size(physical, size);
    TRY_ASSIGN(u64 value,
               external.read(ExternalAccess::Space::Mmio, physical, static_cast<u8>(fragment)));
    std::memcpy(out, &value, fragment);
    physical += fragment, out += fragment, size -= fragment;
  }
  return {};
}

Expected<> Mmu::Impl::write_mmio(u64 physical, const u8* in, u32 size) {
  while (size) {
    u32 fragment = fragment_size(physical, size);
    u64 value = 0;
    std::memcpy(&value, in, fragment);
    TRY(external.write(ExternalAccess::Space::Mmio, physical, static_cast<u8>(fragment), value));
    physical += fragment, in += fragment, size -= fragment;
  }
  return {};
}

Expected<> Mmu::Impl::read_pieces(const Pieces& pieces, const std::array<Target, 2>& targets,
                                  u8* out) {
  for (u8 i = 0; i < pieces.count; ++i) {
    const Piece& piece = pieces.at[i];
    if (targets[i].mmio()) {
      TRY(read_mmio(targets[i].physical, out + piece.done, piece.size));
    } else {
      copy_bytes(out + piece.done, targets[i].location.host, piece.size);
    }
  }
  return {};
}

/// MMIO first: it may stop the instruction, and then RAM must not have changed.
Expected<> Mmu::Impl::write_pieces(const Pieces& pieces, const std::array<Target, 2>& targets,
                                   const u8* in) {
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
  if (const u8* host = impl_->table_for(privilege).for_read(linear, size)) {
    copy_bytes(out, host, size);
    return {};
  }
  ++impl_->counters.slow_reads;
  TRY(impl_->check_alignment(linear, size, privilege));
  Pieces pieces(linear, size);
  std::array<Target, 2> targets;
  TRY(impl_->translate(pieces, Access::Read, privilege, targets));
  return impl_->read_pieces(pieces, targets, static_cast<u8*>(out));
}

Expected<> Mmu::write(u64 linear, const void* in, u32 size, Privilege privilege) {
  if (u8* host = impl_->table_for(privilege).for_write(linear, size)) {
    copy_bytes(host, in, size);
    return {};
  }
  ++impl_->counters.slow_writes;
  TRY(impl_->check_alignment(linear, size, privilege));
  Pieces pieces(linear, size);
  std::array<Target, 2> targets;
  TRY(impl_->translate(pieces, Access::Write, privilege, targets));
  return impl_->write_pieces(pieces, targets, static_cast<const u8*>(in));
}

Expected<> Mmu::read_for_write(u64 linear, void* out, u32 size) {
  if (const u8* host = impl_->current->for_write(linear, size)) {
    copy_bytes(out, host, size);
    return {};
  }
  ++impl_->counters.slow_reads;
  TRY(impl_->check_alignment(linear, size, Privilege::Current));
  Pieces pieces(linear, size);
  std::array<Target, 2> targets;
  TRY(impl_->translate(pieces, Access::Write, Privilege::Current, targets));
  return impl_->read_pieces(pieces, targets, static_cast<u8*>(out));
}

Expected<> Mmu::probe(u64 linear, u32 size, Access access, Privilege privilege) {
  if (!size) return {};
  if (access != Access::Execute) TRY(impl_->check_alignment(linear, size, privilege));
  std::array<Target, 2> targets;
  return impl_->translate(Pieces(linear, size), access, privilege, targets);
}

Expected<u8*> Mmu::span(u64 linear, Access access, Privilege privilege, u32& length) {
  length = static_cast<u32>(kPageSize - (linear & kPageMask));
  const ShadowTable& table = impl_->table_for(privilege);
  u8* host = access == Access::Read    ? table.for_read(linear, 1)
             : access == Access::Write ? table.for_write(linear, 1)
                                       : const_cast<u8*>(table.for_execute(linear));
  if (host) return host;
  Requester requester = requester_of(impl_->context, privilege);
  TRY_ASSIGN(Target target, impl_->translate(linear, access, requester));
  if (target.mmio() || impl_->view_kind(requester) == ViewKind::Strict) return nullptr;
  bool plain = !target.location.rom && impl_->memory.facts(target.location.page).plain();
  return access != Access::Write || plain ? target.location.host : nullptr;
}

Expected<GuestPhys> Mmu::fetch(u64 linear) {
  Requester requester = requester_of(impl_->context, Privilege::Current);
  TRY_ASSIGN(Target target, impl_->translate(linear, Access::Execute, requester));
  if (target.mmio()) return std::unexpected(Fault::gp());
  return GuestPhys{target.physical};
}

bool Mmu::peek(u64 linear, GuestPhys& physical) const {
  linear = impl_->mode.wrap(linear);
  if (!impl_->mode.canonical(linear)) return false;
  Walk walk = impl_->walker.walk(impl_->mode, impl_->space->root(), linear);
  if (!walk.mapped()) return false;
  physical = {impl_->memory.bus_address(walk.physical(linear))};
  return true;
}

Mmu::Mmu(AddressSpace& space, ExternalBuffer& external)
    : impl_(std::make_unique<Impl>(space.impl_->memory, external)) {}
Mmu::~Mmu() = default;

const PagingContext& Mmu::context() const { return impl_->context; }
ShadowTable* Mmu::table() const { return impl_->current; }
const Mmu::Counters& Mmu::counters() const { return impl_->counters; }

}  // namespace penumbra::mmu
