#include "mmu/translator.h"

namespace penumbra::mmu {
namespace {

constexpr u64 kNoFlushBit = bit(63);  // of a value moved to CR3 with CR4.PCIDE (SDM 3A 4.10.4.1)

}  // namespace

Translator::Translator(PhysicalMemory& memory, Mmu::Counters& counters)
    : memory_(memory), counters_(counters), walker_(memory), shadows_(memory, counters) {
  select_space();
}

// -- choice of the tables ------------------------------------------------------------------------

Requester Translator::requester(Privilege privilege) const {
  if (privilege == Privilege::Implicit) return Requester::Supervisor;
  if (context_.cpl == 3) return Requester::User;
  return context_.ac ? Requester::SupervisorAc : Requester::Supervisor;
}

ViewKind Translator::view_kind(Requester requester) const {
  if (requester == Requester::User && strict()) return ViewKind::Strict;
  if (mode_.kind == PagingKind::Off) return ViewKind::Supervisor;
  if (requester == Requester::User) return ViewKind::User;
  return requester == Requester::SupervisorAc && mode_.smap ? ViewKind::SupervisorAc
                                                            : ViewKind::Supervisor;
}

void Translator::select_space() {
  Root root;
  if (mode_.kind == PagingKind::Pae) root = pdptes_;
  if (mode_.kind == PagingKind::Bits32) root.value[0] = context_.cr3 & 0xfffff000;
  if (mode_.kind == PagingKind::Long) root.value[0] = context_.cr3 & kFrameMask;
  space_ = &shadows_.space(root, mode_);
  select_view();
}

void Translator::select_view() {
  table_ = &shadows_.view(*space_, view_kind(requester(Privilege::Current)));
}

void Translator::load_pdptes() {
  u64 table = context_.cr3 & 0xffffffe0;
  for (unsigned i = 0; i < 4; ++i) {
    Location location = memory_.locate(table + 8 * i);
    pdptes_.value[i] = location.host ? load_from<u64>(location.host) : ~0ull;
  }
}

void Translator::set_context(const PagingContext& context) {
  u64 cr3 = context.cr3 & ~kNoFlushBit;
  bool same_mode = context.cr0 == context_.cr0 && context.cr4 == context_.cr4 &&
                   context.efer == context_.efer && context.pkru == context_.pkru;
  if (same_mode && cr3 == context_.cr3) return set_privilege(context.cpl, context.ac);
  const PagingContext old = context_;
  context_ = context;
  context_.cr3 = cr3;
  bool was_pae = mode_.kind == PagingKind::Pae;
  if (!same_mode) mode_ = PagingMode::of(context_);
  if (mode_.kind == PagingKind::Pae &&
      (!was_pae || context_.cr3 != old.cr3 || ((context.cr0 ^ old.cr0) & Control::kCr0Reload) ||
       ((context.cr4 ^ old.cr4) & Control::kCr4Reload)))
    load_pdptes();
  select_space();
}

void Translator::set_privilege(u8 cpl, bool ac) {
  context_.cpl = cpl;
  context_.ac = ac;
  select_view();
}

void Translator::write_cr3(u64 value) {
  context_.cr3 = value & ~kNoFlushBit;
  if (mode_.kind == PagingKind::Pae) load_pdptes();
  select_space();
}

// -- translation ---------------------------------------------------------------------------------

RamPage Translator::tracked_page(u64 linear, u32 size, Requester requester) {
  ViewKind kind = view_kind(requester);
  if (space_->view(kind) == ViewPool::kNone) return kNoPage;
  return shadows_.writable_page(*space_, kind, linear, size);
}

/// What the view grants already needs no walk. A store to a tracked page is found here, too.
bool Translator::known(u64 linear, u32 size, Access access, Requester requester, Target& target) {
  if (access == Access::Read) {
    const ShadowTable* view = space_->table(view_kind(requester));
    target.location.host = view != nullptr ? view->for_read(linear, size) : nullptr;
    return target.location.host;
  }
  if (access != Access::Write) return false;
  RamPage page = tracked_page(linear, size, requester);
  if (page == kNoPage) return false;
  target.location = {memory_.page_host(page) + (linear & kPageMask), page, false};
  return true;
}

Expected<> Translator::resolve(u64 linear, Access access, Requester requester, Walk& walk) {
  if (!mode_.canonical(linear)) return std::unexpected(Fault::gp());
  if (const ShadowSpace::Region* region = space_->known_path(linear)) {
    u16 offset = space_->leaf_offset(*region, linear);
    walker_.walk_leaf(mode_, region->leaf, offset, region->upper, walk);
  } else {
    ++counters_.walks;
    walker_.walk(mode_, space_->root(), linear, walk);
  }
  if (!walk.mapped() || !allows(mode_, walk.rights, access, requester)) [[unlikely]]
    return std::unexpected(page_fault(mode_, walk, linear, access, requester));
  return {};
}

void Translator::fill(const Walk& walk, u64 linear, Access access, Requester requester,
                      const Location& location) {
  if (access == Access::Write && !location.rom) memory_.mark_dirty(location.page);
  ViewKind kind = view_kind(requester);
  if (access == Access::Execute && shadows_.view(*space_, kind).for_execute(linear)) return;
  bool dirty = !walk.count || (walk.leaf().value & Entry::kDirty);
  bool data = kind != ViewKind::Strict;
  Grant grant{location.host - (linear & kPageMask), location.page};
  grant.read = data && allows(mode_, walk.rights, Access::Read, requester);
  grant.write =
      data && dirty && !location.rom && allows(mode_, walk.rights, Access::Write, requester);
  grant.plain = memory_.plain(location.page);
  grant.execute = (access == Access::Execute || space_->executed(linear)) &&
                  allows(mode_, walk.rights, Access::Execute, requester);
  shadows_.fill(*space_, kind, linear, grant);
  ++counters_.fills;
}

Expected<Target> Translator::translate(u64 linear, Access access, Requester requester) {
  linear = mode_.wrap(linear);
  for (;;) {
    Walk walk;
    TRY(resolve(linear, access, requester, walk));
    // Not if the tables have changed since they were read.
    if (!walker_.set_flags(mode_, walk, access == Access::Write)) continue;
    if (!walk.from_leaf) space_->learn(linear, walk);
    u64 physical = memory_.bus_address(walk.physical(linear));
    Target target{physical, memory_.locate(physical)};
    if (!target.mmio()) fill(walk, linear, access, requester, target.location);
    return target;
  }
}

Expected<Target> Translator::translate(u64 linear, Access access, Privilege privilege) {
  Target target;
  Requester requester = this->requester(privilege);
  if (access == Access::Write && known(linear, 1, access, requester, target)) return target;
  return translate(linear, access, requester);
}

Expected<> Translator::translate(const Pieces& pieces, Access access, Privilege privilege,
                                 Targets& targets) {
  Requester requester = this->requester(privilege);
  std::array<bool, 2> ready{};
  for (u8 i = 0; i < pieces.count; ++i) {
    const Piece& at = pieces.at[i];
    ready[i] = known(at.linear, at.size, access, requester, targets[i]);
    if (ready[i] || pieces.count == 1) continue;
    Walk walk;
    TRY(resolve(mode_.wrap(at.linear), access, requester, walk));
  }
  for (u8 i = 0; i < pieces.count; ++i) {
    if (ready[i]) continue;
    TRY_ASSIGN(targets[i], translate(pieces.at[i].linear, access, requester));
  }
  return {};
}

bool Translator::peek(u64 linear, u64& physical) const {
  linear = mode_.wrap(linear);
  if (!mode_.canonical(linear)) return false;
  Walk walk;
  walker_.walk(mode_, space_->root(), linear, walk);
  if (walk.mapped()) physical = memory_.bus_address(walk.physical(linear));
  return walk.mapped();
}

}  // namespace penumbra::mmu
