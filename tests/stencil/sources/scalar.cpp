// Stencils over general registers: every form of register field, hole and jump.

#include <bit>

#include "jit/stencil/source.h"
#include "tests/stencil/keys.h"

namespace penumbra::jit::test {
namespace {

#define STENCIL(name) PENUMBRA_STENCIL name(PENUMBRA_STENCIL_ARGUMENTS)
#define NEXT PENUMBRA_CONTINUE(to_next)

u64 value(char* hole) { return reinterpret_cast<u64>(hole); }
u64& at(u64 address) { return *reinterpret_cast<u64*>(address); }
/// Keeps the compiler from folding: in a scratch register from here on.
u64 scratch(u64 input) {
  asm volatile("" : "+a"(input));
  return input;
}

STENCIL(nothing) { NEXT; }

STENCIL(add) {
  d = a + b;
  NEXT;
}

STENCIL(add_in_place) {
  d += a;
  NEXT;
}

STENCIL(copy_then_subtract) {
  d = a - b;
  NEXT;
}

STENCIL(subtract_slots) {
  *slot<u64>(s, hole_d) = *slot<u64>(s, hole_a) - b;
  NEXT;
}

STENCIL(xor_immediate_32) {
  d = a ^ static_cast<u32>(value(hole_immediate));
  NEXT;
}

STENCIL(add_immediate_signed) {
  d = a + opaque_signed(hole_immediate);
  NEXT;
}

STENCIL(move_immediate_64) {
  d = opaque<Width::W64>(hole_immediate);
  NEXT;
}

STENCIL(add_immediate_8) {
  d = a;
  asm("addb %1, %b0" : "+r"(d) : "i"(hole_immediate));
  NEXT;
}

STENCIL(add_immediate_16) {
  d = a;
  asm("addw %1, %w0" : "+r"(d) : "i"(hole_extra));
  NEXT;
}

STENCIL(store_byte_to_slot) {
  *slot<u8>(s, hole_d) = static_cast<u8>(b);
  NEXT;
}

STENCIL(insert_byte) {
  asm("movb %b1, %b0" : "+r"(d) : "r"(c));
  NEXT;
}

STENCIL(second_byte) {
  u32 low = static_cast<u32>(scratch(a));
  u32 second;
  asm("movzbl %h1, %0" : "=a"(second) : "a"(low));
  d = second;
  NEXT;
}

STENCIL(shift) {
  d = a << (b & 63);
  NEXT;
}

STENCIL(multiply_high) {
  d = static_cast<u64>((static_cast<u128>(a) * b) >> 64);
  c = a * b;
  NEXT;
}

STENCIL(select) {
  d = a < b ? c : d;
  NEXT;
}

STENCIL(less) {
  d = static_cast<i64>(a) < static_cast<i64>(b);
  NEXT;
}

STENCIL(swap_bytes) {
  d = std::byteswap(c) + std::byteswap(static_cast<u32>(a));
  NEXT;
}

STENCIL(branch) {
  if (a < b) PENUMBRA_CONTINUE(to_taken);
  NEXT;
}

STENCIL(branch_other_way) {
  if (a < b) NEXT;
  PENUMBRA_CONTINUE(to_taken);
}

STENCIL(branch_with_work) {
  *slot<u64>(s, hole_a) = a - b;
  if (a == b) {
    *slot<u64>(s, hole_b) = a;
    PENUMBRA_CONTINUE(to_taken);
  }
  *slot<u64>(s, hole_c) = b;
  NEXT;
}

STENCIL(compare_zero_branch) {
  if (static_cast<u8>(c) == 0) PENUMBRA_CONTINUE(to_exit);
  d = c;
  NEXT;
}

STENCIL(load_plain) {
  d = at(a);
  NEXT;
}

STENCIL(load_sum) {
  d = at(a + b);
  NEXT;
}

STENCIL(load_scratch_sum) {
  u64 offset = scratch(*slot<u64>(s, hole_b));
  asm("movq (%1,%2), %0" : "=r"(d) : "r"(c), "r"(offset));
  NEXT;
}

STENCIL(load_scaled) {
  asm("movq (%1,%2,8), %0" : "=r"(d) : "r"(a), "r"(b));
  NEXT;
}

STENCIL(load_displaced) {
  d = at(a + b * 4 + value(hole_displacement) + 16);
  NEXT;
}

STENCIL(store_plain) {
  *reinterpret_cast<u16*>(b) = static_cast<u16>(a);
  *slot<u32>(s, hole_extra) = static_cast<u32>(value(hole_immediate));
  NEXT;
}

STENCIL(store_scratch_sum) {
  u64 offset = scratch(b);
  asm volatile("movb $7, (%0,%1)" : : "r"(a), "r"(offset) : "memory");
  NEXT;
}

STENCIL(load_or_slow) {
  if (at(a) != b) [[unlikely]]
    PENUMBRA_CONTINUE(to_slow);
  d = at(a + 8);
  NEXT;
}

STENCIL(slow_with_address) {
  u64 address = a + value(hole_displacement);
  if (address % 8 != 0) [[unlikely]] {
    d = address;
    PENUMBRA_CONTINUE(to_slow);
  }
  d = at(address);
  NEXT;
}

STENCIL(leave) {
  *slot<u64>(s, hole_d) = opaque<Width::W32>(hole_immediate);
  PENUMBRA_CONTINUE(to_exit);
}

STENCIL(write_on_some_paths) {
  if ((a & 1) != 0) {
    *slot<u64>(s, hole_a) = b;
    asm("movq %1, %0" : "=r"(d) : "r"(b));
  }
  NEXT;
}

STENCIL(many_ends) {
  if (a == 0) {
    d = 11;
    *slot<u64>(s, hole_a) = a;
    NEXT;
  }
  if (a == 1) {
    d = b;
    *slot<u64>(s, hole_b) = a;
    NEXT;
  }
  if (a == 2) {
    d = b + 5;
    *slot<u64>(s, hole_c) = a;
    PENUMBRA_CONTINUE(to_taken);
  }
  d = b * 3;
  *slot<u64>(s, hole_d) = a;
  PENUMBRA_CONTINUE(to_exit);
}

STENCIL(power_loop) {
  u64 result = 1, base = a;
  for (u64 exponent = b & 15; exponent != 0; exponent--) {
    result *= base;
    asm volatile("" : "+r"(result));
  }
  d = result;
  NEXT;
}

/// Longer than a short jump reaches.
STENCIL(long_body) {
  u64 sum = b;
  if (a != 0) {
#pragma clang loop unroll(full)
    for (u64 i = 0; i < 24; i++) sum = (sum ^ at(a + 8 * i)) * 3 + i;
    *slot<u64>(s, hole_a) = sum;
  }
  d = sum;
  NEXT;
}

STENCIL(fetch_add) {
  d = __atomic_fetch_add(&at(a), b, __ATOMIC_SEQ_CST);
  NEXT;
}

STENCIL(compare_exchange) {
  u64 expected = b;
  __atomic_compare_exchange_n(&at(a), &expected, c, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
  d = expected;
  NEXT;
}

STENCIL(table_constant) {
  d = std::bit_cast<u64>(static_cast<double>(static_cast<u32>(a)) * 1.0625);
  NEXT;
}

STENCIL(zero) {
  d = 0;
  NEXT;
}

STENCIL(jump_anywhere) {
  [[clang::musttail]] return reinterpret_cast<StencilFunction*>(b)(s, left, d, a, b, c);
}

STENCIL(jump_through_memory) {
  [[clang::musttail]] return reinterpret_cast<StencilFunction*>(at(c + 8))(s, left, d, a, b, c);
}

STENCIL(take_from_left) {
  left -= static_cast<i64>(value(hole_immediate));
  if (left < 0) PENUMBRA_CONTINUE(to_exit);
  NEXT;
}

[[gnu::used, gnu::section(".stencil_index")]] const StencilEntry kIndex[] = {
    {kNothing, nothing},
    {kAdd, add},
    {kAddInPlace, add_in_place},
    {kCopyThenSubtract, copy_then_subtract},
    {kSubtractSlots, subtract_slots},
    {kXorImmediate32, xor_immediate_32},
    {kAddImmediateSigned, add_immediate_signed},
    {kMoveImmediate64, move_immediate_64},
    {kAddImmediate8, add_immediate_8},
    {kAddImmediate16, add_immediate_16},
    {kStoreByteToSlot, store_byte_to_slot},
    {kInsertByte, insert_byte},
    {kSecondByte, second_byte},
    {kShift, shift},
    {kMultiplyHigh, multiply_high},
    {kSelect, select},
    {kLess, less},
    {kSwapBytes, swap_bytes},
    {kBranch, branch},
    {kBranchOtherWay, branch_other_way},
    {kBranchWithWork, branch_with_work},
    {kCompareZeroBranch, compare_zero_branch},
    {kLoadPlain, load_plain},
    {kLoadSum, load_sum},
    {kLoadScratchSum, load_scratch_sum},
    {kLoadScaled, load_scaled},
    {kLoadDisplaced, load_displaced},
    {kStorePlain, store_plain},
    {kStoreScratchSum, store_scratch_sum},
    {kLoadOrSlow, load_or_slow},
    {kSlowWithAddress, slow_with_address},
    {kExit, leave},
    {kWriteOnSomePaths, write_on_some_paths},
    {kManyEnds, many_ends},
    {kPowerLoop, power_loop},
    {kLongBody, long_body},
    {kFetchAdd, fetch_add},
    {kCompareExchange, compare_exchange},
    {kTableConstant, table_constant},
    {kZero, zero},
    {kJumpAnywhere, jump_anywhere},
    {kJumpThroughMemory, jump_through_memory},
    {kTakeFromLeft, take_from_left},
};

}  // namespace
}  // namespace penumbra::jit::test
