#include "tests/mmu/naive_walker.h"

namespace penumbra::mmu::test {
namespace {

bool flag(u64 entry, unsigned n) { return entry >> n & 1; }
u64 field(u64 value, unsigned high, unsigned low) {
  u64 result = 0;
  for (unsigned n = low; n <= high; ++n) result |= u64{flag(value, n)} << n;
  return result;
}

}  // namespace

// Figure 4-2, 4-3 and table 4-4, 4-5, 4-6. MAXPHYADDR is 40: a 4-MByte page's bits 39:32 come
// from bits 20:13 of its PDE, bit 21 is reserved.
std::optional<NaiveWalker::Stop> NaiveWalker::walk_32_bit(u64 linear, Page& page,
                                                          NaiveResult& result) {
  result.entry_size = 4;
  u64 pde_at = field(context_.cr3, 31, 12) | field(linear, 31, 22) >> 20;
  u64 pde = memory_.read(pde_at, 4);
  result.entries.push_back(pde_at);
  if (!flag(pde, 0)) return Stop::NotPresent;
  bool big = flag(pde, 7) && cr4(4);
  if (big && flag(pde, 21)) return Stop::Reserved;
  page.write = flag(pde, 1);
  page.user = flag(pde, 2);
  if (big) {
    result.physical = field(pde, 31, 22) | field(pde, 20, 13) >> 13 << 32 | field(linear, 21, 0);
    return {};
  }
  u64 pte_at = field(pde, 31, 12) | field(linear, 21, 12) >> 10;
  u64 pte = memory_.read(pte_at, 4);
  result.entries.push_back(pte_at);
  if (!flag(pte, 0)) return Stop::NotPresent;
  page.write = page.write && flag(pte, 1);
  page.user = page.user && flag(pte, 2);
  result.physical = field(pte, 31, 12) | field(linear, 11, 0);
  return {};
}

std::optional<NaiveWalker::Stop> NaiveWalker::use_64_bit_entry(u64 entry, u64 reserved,
                                                               Page& page) {
  if (!flag(entry, 0)) return Stop::NotPresent;
  if (entry & reserved) return Stop::Reserved;
  if (flag(entry, 63) && !nxe()) return Stop::Reserved;
  if (!flag(entry, 1)) page.write = false;
  if (!flag(entry, 2)) page.user = false;
  if (flag(entry, 63)) page.execute_disable = true;
  return {};
}

// Figure 4-5, 4-6, 4-7 and tables 4-8 to 4-11.
std::optional<NaiveWalker::Stop> NaiveWalker::walk_pae(u64 linear, Page& page,
                                                       NaiveResult& result) {
  u64 pdpte = pdpte_[linear >> 30 & 3];
  if (!flag(pdpte, 0)) return Stop::NotPresent;
  if (field(pdpte, 2, 1) || field(pdpte, 8, 5) || field(pdpte, 63, 40)) return Stop::Reserved;

  u64 pde_at = field(pdpte, 39, 12) | field(linear, 29, 21) >> 18;
  u64 pde = memory_.read(pde_at, 8);
  result.entries.push_back(pde_at);
  u64 reserved = field(~0ull, 62, 40);
  if (flag(pde, 7)) reserved |= field(~0ull, 20, 13);
  if (auto stop = use_64_bit_entry(pde, reserved, page)) return stop;
  if (flag(pde, 7)) {
    result.physical = field(pde, 39, 21) | field(linear, 20, 0);
    return {};
  }
  u64 pte_at = field(pde, 39, 12) | field(linear, 20, 12) >> 9;
  u64 pte = memory_.read(pte_at, 8);
  result.entries.push_back(pte_at);
  if (auto stop = use_64_bit_entry(pte, field(~0ull, 62, 40), page)) return stop;
  result.physical = field(pte, 39, 12) | field(linear, 11, 0);
  return {};
}

// Figures 4-8 to 4-11 and tables 4-15 to 4-20.
std::optional<NaiveWalker::Stop> NaiveWalker::walk_4_level(u64 linear, Page& page,
                                                           NaiveResult& result) {
  constexpr u64 high = 0x000fff0000000000;  // bits 51:40
  u64 pml4e_at = field(context_.cr3, 39, 12) | field(linear, 47, 39) >> 36;
  u64 pml4e = memory_.read(pml4e_at, 8);
  result.entries.push_back(pml4e_at);
  if (auto stop = use_64_bit_entry(pml4e, high | 0x80, page)) return stop;

  u64 pdpte_at = field(pml4e, 39, 12) | field(linear, 38, 30) >> 27;
  u64 pdpte = memory_.read(pdpte_at, 8);
  result.entries.push_back(pdpte_at);
  bool gigabyte = flag(pdpte, 7);
  u64 reserved = high | (gigabyte ? field(~0ull, 29, 13) : 0);
  if (auto stop = use_64_bit_entry(pdpte, reserved, page)) return stop;
  page.key = pdpte >> 59 & 15;
  if (gigabyte) {
    result.physical = field(pdpte, 39, 30) | field(linear, 29, 0);
    return {};
  }
  u64 pde_at = field(pdpte, 39, 12) | field(linear, 29, 21) >> 18;
  u64 pde = memory_.read(pde_at, 8);
  result.entries.push_back(pde_at);
  bool big = flag(pde, 7);
  if (auto stop = use_64_bit_entry(pde, high | (big ? field(~0ull, 20, 13) : 0), page)) return stop;
  page.key = pde >> 59 & 15;
  if (big) {
    result.physical = field(pde, 39, 21) | field(linear, 20, 0);
    return {};
  }
  u64 pte_at = field(pde, 39, 12) | field(linear, 20, 12) >> 9;
  u64 pte = memory_.read(pte_at, 8);
  result.entries.push_back(pte_at);
  if (auto stop = use_64_bit_entry(pte, high, page)) return stop;
  page.key = pte >> 59 & 15;
  result.physical = field(pte, 39, 12) | field(linear, 11, 0);
  return {};
}

// Section 4.6.1 "Determination of Access Rights" and 4.6.2 "Protection Keys", sentence by sentence.
bool NaiveWalker::permitted(const Page& page, Access access, bool user, bool ac, bool& by_key) {
  bool wp = cr0(16), smep = cr4(20), smap = cr4(21), pke = cr4(22) && lma();
  by_key = false;
  if (pke && page.user && access != Access::Execute) {
    bool access_disable = context_.pkru >> (2 * page.key) & 1;
    bool write_disable = context_.pkru >> (2 * page.key + 1) & 1;
    if (access_disable) by_key = true;
    if (write_disable && access == Access::Write && (user || wp)) by_key = true;
    if (by_key) return false;
  }
  if (!user) {
    switch (access) {
      case Access::Read:
        return !page.user || !smap || ac;
      case Access::Write:
        if (!page.user) return !wp || page.write;
        if (smap && !ac) return false;
        return !wp || page.write;
      case Access::Execute:
        if (page.user && smep) return false;
        return !nxe() || !page.execute_disable;
    }
  }
  if (!page.user) return false;
  if (access == Access::Write) return page.write;
  if (access == Access::Execute) return !nxe() || !page.execute_disable;
  return true;
}

NaiveResult NaiveWalker::translate(u64 linear, Access access, bool implicit) {
  NaiveResult result;
  if (!paging()) {
    result.physical = linear;
    return result;
  }
  Page page;
  std::optional<Stop> stop;
  if (lma()) {
    i64 extended = static_cast<i64>(linear << 16) >> 16;
    if (static_cast<u64>(extended) != linear) {
      result.fault = Fault::gp();
      return result;
    }
    stop = walk_4_level(linear, page, result);
  } else {
    stop = pae() ? walk_pae(linear, page, result) : walk_32_bit(linear, page, result);
  }
  bool user = context_.cpl == 3 && !implicit;
  bool by_key = false;
  if (!stop && permitted(page, access, user, context_.ac && !implicit, by_key)) return result;
  // Section 4.7, figure 4-12.
  u32 code = 0;
  if (stop != Stop::NotPresent) code += 1;
  if (access == Access::Write) code += 2;
  if (user) code += 4;
  if (stop == Stop::Reserved) code += 8;
  if (access == Access::Execute && ((pae() && nxe()) || cr4(20))) code += 16;
  if (by_key) code += 32;
  result.fault = Fault::page(linear, code);
  return result;
}

// Section 4.8.
void NaiveWalker::complete(const NaiveResult& result, Access access) {
  for (size_t i = 0; i < result.entries.size(); ++i) {
    u64 entry = memory_.read(result.entries[i], result.entry_size);
    u64 flags = 0x20;
    if (access == Access::Write && i + 1 == result.entries.size()) flags |= 0x40;
    memory_.write(result.entries[i], entry | flags, result.entry_size);
  }
}

}  // namespace penumbra::mmu::test
