#include "tests/stencil/reference.h"

#include <bit>
#include <vector>

namespace penumbra::jit::test {
namespace {

u64& at(u64 address) { return *reinterpret_cast<u64*>(address); }
u64 memory(const Machine& m) { return reinterpret_cast<u64>(m.world->memory); }

/// A memory address, a small index and what lies behind the address.
void address_in_a(Machine& m) {
  m.a = memory(m) + 8 * (m.a % 16);
  m.b = 8 * (m.b % 8);
}

template <class T, class Operation>
Vector lanes(const Vector& x, const Vector& y, u32 bits, Operation operation) {
  constexpr u32 kLanes = 32 / sizeof(T);
  T left[kLanes], right[kLanes];
  std::memcpy(left, &x, 32);
  std::memcpy(right, &y, 32);
  for (u32 i = 0; i < kLanes; i++)
    left[i] = i < bits / 8 / sizeof(T) ? static_cast<T>(operation(left[i], right[i])) : T{0};
  Vector result;
  std::memcpy(&result, left, 32);
  return result;
}

Vector load(u64 address, u32 bits) {
  Vector result;
  std::memcpy(&result, reinterpret_cast<const void*>(address), bits / 8);
  return result;
}

Way taken_if(bool condition) { return condition ? Way::Taken : Way::Next; }

Way many_ends(Machine& m) {
  switch (m.a) {
    case 0:
      m.d = 11, m.slot(HoleKind::SlotA) = 0;
      return Way::Next;
    case 1:
      m.d = m.b, m.slot(HoleKind::SlotB) = 1;
      return Way::Next;
    case 2:
      m.d = m.b + 5, m.slot(HoleKind::SlotC) = 2;
      return Way::Taken;
    default:
      m.d = m.b * 3, m.slot(HoleKind::SlotD) = m.a;
      return Way::Exit;
  }
}

Way branch_with_work(Machine& m) {
  m.slot(HoleKind::SlotA) = m.a - m.b;
  m.slot(m.a == m.b ? HoleKind::SlotB : HoleKind::SlotC) = m.a == m.b ? m.a : m.b;
  return taken_if(m.a == m.b);
}

Way slow_with_address(Machine& m) {
  u64 address = m.a + m.value(HoleKind::Displacement);
  m.d = address % 8 != 0 ? address : at(address);
  return address % 8 != 0 ? Way::Slow : Way::Next;
}

Way load_or_slow(Machine& m) {
  if (at(m.a) != m.b) return Way::Slow;
  m.d = at(m.a + 8);
  return Way::Next;
}

Way power_loop(Machine& m) {
  u64 result = 1;
  for (u64 i = m.b & 15; i != 0; i--) result *= m.a;
  m.d = result;
  return Way::Next;
}

Way long_body(Machine& m) {
  m.d = m.b;
  if (m.a == 0) return Way::Next;
  for (u64 i = 0; i < 24; i++) m.d = (m.d ^ at(m.a + 8 * i)) * 3 + i;
  m.slot(HoleKind::SlotA) = m.d;
  return Way::Next;
}

Way compare_exchange(Machine& m) {
  m.d = at(m.a);
  if (m.d == m.b) at(m.a) = m.c;
  return Way::Next;
}

/// Sets d, or vd where it is a vector, to what `value` gives.
template <class Value>
std::function<Way(Machine&)> sets(Value value) {
  return [=](Machine& m) {
    if constexpr (std::is_same_v<std::invoke_result_t<Value, Machine&>, Vector>)
      m.vd = value(m);
    else
      m.d = static_cast<u64>(value(m));
    return Way::Next;
  };
}

using M = const Machine&;

std::vector<Reference> arithmetic() {
  return {
      {kNothing, [](Machine&) { return Way::Next; }, {}},
      {kAdd, sets([](M m) { return m.a + m.b; }), {}},
      {kAddInPlace, sets([](M m) { return m.d + m.a; }), {}},
      {kCopyThenSubtract, sets([](M m) { return m.a - m.b; }), {}},
      {kSubtractSlots,
       [](Machine& m) {
         m.slot(HoleKind::SlotD) = m.slot(HoleKind::SlotA) - m.b;
         return Way::Next;
       },
       {}},
      {kXorImmediate32, sets([](M m) { return m.a ^ m.value(HoleKind::Immediate); }), {}},
      {kMoveImmediate64, sets([](M m) { return m.value(HoleKind::Immediate); }), {}},
      {kAddImmediateSigned, sets([](M m) { return m.a + m.value(HoleKind::Immediate); }), {}},
      {kAddImmediate8,
       sets([](M m) {
         return (m.a & ~0xffull) | static_cast<u8>(m.a + m.value(HoleKind::Immediate));
       }),
       {}},
      {kAddImmediate16,
       sets([](M m) {
         return (m.a & ~0xffffull) | static_cast<u16>(m.a + m.value(HoleKind::Extra));
       }),
       {}},
      {kStoreByteToSlot,
       [](Machine& m) {
         m.slot<u8>(HoleKind::SlotD) = static_cast<u8>(m.b);
         return Way::Next;
       },
       {}},
      {kInsertByte, sets([](M m) { return (m.d & ~0xffull) | static_cast<u8>(m.c); }), {}},
      {kSecondByte, sets([](M m) { return m.a >> 8 & 0xff; }), {}},
      {kShift, sets([](M m) { return m.a << (m.b & 63); }), {}},
      {kMultiplyHigh,
       [](Machine& m) {
         m.d = static_cast<u64>((static_cast<u128>(m.a) * m.b) >> 64);
         m.c = m.a * m.b;
         return Way::Next;
       },
       {}},
      {kSelect, sets([](M m) { return m.a < m.b ? m.c : m.d; }), {}},
      {kLess, sets([](M m) { return u64{static_cast<i64>(m.a) < static_cast<i64>(m.b)}; }), {}},
      {kSwapBytes,
       sets([](M m) { return std::byteswap(m.c) + std::byteswap(static_cast<u32>(m.a)); }),
       {}},
      {kTableConstant,
       sets([](M m) {
         return std::bit_cast<u64>(static_cast<double>(static_cast<u32>(m.a)) * 1.0625);
       }),
       {}},
      {kZero, sets([](M) { return u64{0}; }), {}},
  };
}

std::vector<Reference> control() {
  return {
      {kBranch, [](Machine& m) { return taken_if(m.a < m.b); }, {}},
      {kBranchOtherWay, [](Machine& m) { return taken_if(m.a >= m.b); }, {}},
      {kBranchWithWork, branch_with_work, {}},
      {kCompareZeroBranch,
       [](Machine& m) {
         if (static_cast<u8>(m.c) == 0) return Way::Exit;
         m.d = m.c;
         return Way::Next;
       },
       {}},
      {kExit,
       [](Machine& m) {
         m.slot(HoleKind::SlotD) = m.value(HoleKind::Immediate);
         return Way::Exit;
       },
       {}},
      {kWriteOnSomePaths,
       [](Machine& m) {
         if (m.a % 2 == 0) return Way::Next;
         m.slot(HoleKind::SlotA) = m.d = m.b;
         return Way::Next;
       },
       {}},
      {kManyEnds, many_ends, {}},
      {kPowerLoop, power_loop, {}},
      {kLongBody, long_body, [](Machine& m) { m.a = m.a % 4 != 0 ? memory(m) : 0; }},
      {kJumpAnywhere, [](Machine&) { return Way::Elsewhere; },
       [](Machine& m) { m.b = m.elsewhere; }},
      {kJumpThroughMemory, [](Machine&) { return Way::Elsewhere; },
       [](Machine& m) {
         m.c = memory(m);
         at(m.c + 8) = m.elsewhere;
       }},
      {kTakeFromLeft,
       [](Machine& m) {
         m.left -= static_cast<i64>(m.value(HoleKind::Immediate));
         return m.left < 0 ? Way::Exit : Way::Next;
       },
       {}},
  };
}

std::vector<Reference> memory_accesses() {
  return {
      {kLoadPlain, sets([](M m) { return at(m.a); }), address_in_a},
      {kLoadSum, sets([](M m) { return at(m.a + m.b); }), address_in_a},
      {kLoadScratchSum, sets([](M m) { return at(m.c + m.slot(HoleKind::SlotB)); }),
       [](Machine& m) {
         m.c = memory(m);
         m.slot(HoleKind::SlotB) = 8 * (m.b % 8);
       }},
      {kLoadScaled, sets([](M m) { return at(m.a + 8 * m.b); }), address_in_a},
      {kLoadDisplaced,
       sets([](M m) { return at(m.a + 4 * m.b + m.value(HoleKind::Displacement) + 16); }),
       address_in_a},
      {kStorePlain,
       [](Machine& m) {
         *reinterpret_cast<u16*>(m.b) = static_cast<u16>(m.a);
         m.slot<u32>(HoleKind::Extra) = static_cast<u32>(m.value(HoleKind::Immediate));
         return Way::Next;
       },
       [](Machine& m) { m.b = memory(m) + 2 * (m.b % 16); }},
      {kStoreScratchSum,
       [](Machine& m) {
         *reinterpret_cast<u8*>(m.a + m.b) = 7;
         return Way::Next;
       },
       address_in_a},
      {kLoadOrSlow, load_or_slow,
       [](Machine& m) {
         m.a = memory(m);
         at(m.a) = m.b % 2 != 0 ? m.b : ~m.b;
       }},
      {kSlowWithAddress, slow_with_address, [](Machine& m) { m.a = memory(m) + m.a % 4 * 4; }},
      {kFetchAdd,
       [](Machine& m) {
         m.d = at(m.a);
         at(m.a) += m.b;
         return Way::Next;
       },
       address_in_a},
      {kCompareExchange, compare_exchange,
       [](Machine& m) {
         m.a = memory(m);
         at(m.a) = m.b % 2 != 0 ? m.b : ~m.b;
       }},
  };
}

std::vector<Reference> vectors() {
  constexpr u32 kX = 128, kY = 256;
  return {
      {kVectorAdd, sets([](M m) { return lanes<u32>(m.va, m.vb, kX, std::plus<u32>()); }), {}, kX},
      {kVectorXorConstant,
       sets([](M m) {
         return lanes<u64>(m.vc, {{0x2122232431323334, 0x0102030411121314}}, kX,
                           std::bit_xor<u64>());
       }),
       {},
       kX},
      {kVectorFromSlot,
       [](Machine& m) {
         m.vd = load(reinterpret_cast<u64>(&m.slot(HoleKind::SlotA)), kX);
         std::memcpy(&m.slot(HoleKind::SlotD), &m.vb, 16);
         return Way::Next;
       },
       {},
       kX},
      {kVectorLoad, sets([](M m) { return load(m.b, kX); }),
       [](Machine& m) { m.b = memory(m) + m.b % 64; }, kX},
      {kVectorLoadScaled, sets([](M m) {
         return lanes<u64>(m.vc, load(m.a + m.b * 8 + 32, kX), kX, std::plus<u64>());
       }),
       address_in_a, kX},
      {kVectorFromGeneral, sets([](M m) { return Vector{{m.a}}; }), {}, kX},
      {kVectorToGeneral, sets([](M m) { return m.va.lanes[1] + m.vb.lanes[0]; }), {}, kX},
      {kVectorShuffle,
       sets([](M m) {
         const u8* from = reinterpret_cast<const u8*>(&m.va);
         return lanes<u8>(m.vb, m.vb, kX,
                          [&](u8 by, u8) { return (by & 0x80) != 0 ? 0 : from[by & 15]; });
       }),
       {},
       kX},
      {kVectorBranch,
       [](Machine& m) {
         if ((m.va.lanes[0] & m.vb.lanes[0]) == 0 && (m.va.lanes[1] & m.vb.lanes[1]) == 0)
           return Way::Taken;
         m.vd = lanes<u8>(m.va, m.vb, kX, std::minus<u8>());
         return Way::Next;
       },
       [](Machine& m) {
         if (m.a % 2 == 0) m.vb = lanes<u64>(m.va, m.va, kX, [](u64 x, u64) { return ~x; });
       },
       kX},
      {kVectorHighRegisters,
       sets([](M m) { return lanes<u32>(m.va, m.vb, kX, std::plus<u32>()); }),
       {},
       kX},
      {kVectorBlend,
       sets([](M m) {
         Vector chosen = lanes<i8>(m.vc, m.vc, kX, [](i8 x, i8) { return x < 0 ? -1 : 0; });
         Vector kept = lanes<u64>(chosen, m.va, kX, [](u64 x, u64 y) { return ~x & y; });
         return lanes<u64>(kept, lanes<u64>(chosen, m.vb, kX, std::bit_and<u64>()), kX,
                           std::bit_or<u64>());
       }),
       {},
       kX,
       true},
      {kVector256Add,
       sets([](M m) { return lanes<u16>(m.va, m.vb, kY, std::plus<u16>()); }),
       {},
       kY,
       true},
      {kVector256Permute,
       sets([](M m) {
         u32 from[8], to[8];
         std::memcpy(from, &m.vb, 32);
         for (u32 i = 0; i < 8; i++) to[i] = from[i < 2 ? 6 + i : 7 - i];
         return std::bit_cast<Vector>(to);
       }),
       {},
       kY,
       true},
      {kVector256Broadcast, sets([](M m) {
         u64 x = at(m.a);
         return Vector{{x, x, x, x}};
       }),
       address_in_a, kY, true},
  };
}

}  // namespace

const std::vector<Reference>& references() {
  static const std::vector<Reference> kAll = [] {
    std::vector<Reference> all;
    for (const auto& part : {arithmetic(), control(), memory_accesses(), vectors()})
      all.insert(all.end(), part.begin(), part.end());
    return all;
  }();
  return kAll;
}

}  // namespace penumbra::jit::test
