#include "jit/core/code_source.h"

#include <algorithm>

namespace penumbra::jit {
namespace {

/// Each once: a block that repeats a loop says them again.
std::vector<translator::CodeRange> in_order(std::vector<translator::CodeRange> ranges) {
  std::ranges::sort(ranges, {}, &translator::CodeRange::offset);
  auto again = std::ranges::unique(ranges, {}, &translator::CodeRange::offset);
  ranges.erase(again.begin(), again.end());
  return ranges;
}

}  // namespace

Expected<CodeSource::Location> CodeSource::locate(u32 mode) {
  cpu::CpuState& s = context_.state;
  u64 linear = linear_of(s.rip);
  if (!slow_.valid_target(s.rip)) return std::unexpected(Fault::gp());
  TRY_ASSIGN(GuestPhys physical, mmu_.fetch(linear));
  s.table = mmu_.table();
  s.code_base = s.rip - (linear & kPageMask);
  return Location{{space_.host(physical), mode}, linear, physical};
}

CodeSource::Location CodeSource::in_page(const BlockPlace& from, u64 offset, u32 mode) const {
  const u8* page = from.key.code - (from.physical.value & kPageMask);
  return {{page + offset, mode},
          linear_of(slow_.rip_at(offset)),
          {page_of(from.physical.value) + offset}};
}

Expected<CodeSource::Translated> CodeSource::translate(const Location& at, u32 most,
                                                       translator::BehindJump behind_jump) {
  u16 start = static_cast<u16>(at.linear & kPageMask);
  translator::CodeView view{.page = {at.key.code - start, kPageSize},
                            .start = start,
                            .changing = patched_.changing(at.physical),
                            .decoder = &decoder_};
  CodeMode mode{at.key.mode & ~BlockKey::kSingle};
  if (at.key.mode & BlockKey::kSingle) most = 1;
  BlockPlace place{.key = at.key, .physical = at.physical};
  auto block = translator::translate(view, mode, context_.model, most, behind_jump);
  if (!block) {
    TRY_ASSIGN(place.next_page, mmu_.fetch((page_of(at.linear) + kPageSize) & slow_.linear_mask()));
    view.next_page = {space_.host(place.next_page), kPageSize};
    block = translator::translate(view, mode, context_.model, most, behind_jump);
  }
  place.size = std::min<u32>(block->end, kPageSize) - start;
  if (block->crosses_page) {
    place.crosses_page = true;
    place.next_page_size = block->end - kPageSize;
    place.next_page_code = view.next_page.data();
  }
  place.loaded = in_order(std::move(block->loaded));
  mark(place);
  ++counters_.blocks;
  counters_.instructions += block->instructions.size();
  return Translated{place, std::move(*block)};
}

void CodeSource::mark(const BlockPlace& place) {
  place.for_each_fixed([&](u64 at, u64 size) { space_.mark_code({at}, size); });
}

Expected<bool> CodeSource::same_code(u64 linear, const u8* code) {
  auto* table = static_cast<const mmu::ShadowTable*>(context_.state.table);
  if (table->for_execute(linear) == code) return true;
  TRY_ASSIGN(GuestPhys physical, mmu_.fetch(linear));
  return space_.host(physical) == code;
}

}  // namespace penumbra::jit
