#include "jit/core/patched_code.h"

namespace penumbra::jit {

void PatchedCode::note(GuestPhys address, u64 size) {
  if (size > kLargestPatch) return;
  for (u64 at = address.value; at < address.value + size; ++at) {
    Page& page = this->page(at / kPageSize);
    u64 offset = at & kPageMask;
    page.again[offset] = page.once[offset];
    page.once[offset] = true;
  }
}

const translator::PageBytes* PatchedCode::changing(GuestPhys address) const {
  const Page* page = find(address);
  return page != nullptr && page->again.any() ? &page->again : nullptr;
}

bool PatchedCode::any(const BlockPlace& place) const {
  const Page* page = find(place.physical);
  if (page == nullptr || place.crosses_page) return false;
  u64 offset = place.physical.value & kPageMask;
  for (u64 at = offset; at < offset + place.size; ++at) {
    if (page->once[at]) return true;
  }
  return false;
}

const PatchedCode::Page* PatchedCode::find(GuestPhys address) const {
  auto found = pages_.find(address.value / kPageSize);
  return found == pages_.end() ? nullptr : found->second.get();
}

PatchedCode::Page& PatchedCode::page(u64 number) {
  if (pages_.size() >= kMostPages) pages_.clear();
  std::unique_ptr<Page>& page = pages_[number];
  if (page == nullptr) page = std::make_unique<Page>();
  return *page;
}

}  // namespace penumbra::jit
