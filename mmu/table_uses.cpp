#include "mmu/table_uses.h"

#include <algorithm>

namespace penumbra::mmu {

TableUses::TableUses(PhysicalMemory& memory)
    : memory_(memory), list_of_(memory.ram_pages()), lists_(1) {}

TableUses::~TableUses() {
  for (u64 page = 0; page < list_of_.size(); ++page)
    if (list_of_[page]) memory_.remove_table_user(static_cast<RamPage>(page));
}

u32 TableUses::new_list() {
  if (free_.empty()) {
    lists_.emplace_back();
    return static_cast<u32>(lists_.size() - 1);
  }
  u32 list = free_.back();
  free_.pop_back();
  return list;
}

void TableUses::add(RamPage page, const Use& use) {
  if (!list_of_[page]) {
    list_of_[page] = new_list();
    memory_.add_table_user(page);
  }
  auto& list = lists_[list_of_[page]];
  auto found = std::ranges::find_if(list, [&](const Use& other) { return same(use, other); });
  if (found == list.end())
    found = list.insert(found, {use.base, 0, use.space, use.level, use.entry_bytes});
  ++found->count;
}

void TableUses::remove(RamPage page, const Use& use) {
  auto& list = lists_[list_of_[page]];
  auto found = std::ranges::find_if(list, [&](const Use& other) { return same(use, other); });
  PENUMBRA_ASSERT(found != list.end());
  if (--found->count) return;
  *found = list.back();
  list.pop_back();
  if (!list.empty()) return;
  free_.push_back(list_of_[page]);
  list_of_[page] = 0;
  memory_.remove_table_user(page);
}

}  // namespace penumbra::mmu
