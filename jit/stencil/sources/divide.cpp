// Stencils of divisions: the host's own instruction, behind a check that it cannot fault.
//
// The check lets pass what can be told at once to have a quotient; Slow looks at the rest.
#include "jit/stencil/sources/operands.h"

namespace penumbra::jit {
namespace {

template <class T, bool kSigned, Form A, Form B, Form C>
PENUMBRA_STENCIL check(PENUMBRA_STENCIL_ARGUMENTS) {
  T low = get<T, A, 'a'>(s, a), divisor = get<T, B, 'b'>(s, b), high = get<T, C, 'c'>(s, c);
  bool may_fault;
  if constexpr (kSigned) {
    auto sign = static_cast<T>(static_cast<std::make_signed_t<T>>(low) >> (8 * sizeof(T) - 1));
    may_fault = static_cast<T>(divisor + 1) <= 1 || high != sign;
  } else {
    may_fault = high >= divisor;
  }
  if (may_fault) [[unlikely]]
    PENUMBRA_CONTINUE(to_slow);
  PENUMBRA_CONTINUE(to_next);
}

/// high:low / divisor in rdx:rax, or in ax for bytes.
template <class T, bool kSigned>
[[gnu::always_inline]] inline T host_quotient(T low, T high, T divisor) {
  if constexpr (sizeof(T) == 1) {
    u16 value = static_cast<u16>(high << 8 | low);
    if constexpr (kSigned)
      asm("idivb %1" : "+a"(value) : "r"(divisor) : "cc");
    else
      asm("divb %1" : "+a"(value) : "r"(divisor) : "cc");
    return static_cast<T>(value);
  } else {
    if constexpr (kSigned)
      asm("idiv %2" : "+a"(low), "+d"(high) : "r"(divisor) : "cc");
    else
      asm("div %2" : "+a"(low), "+d"(high) : "r"(divisor) : "cc");
    return low;
  }
}

template <class T, bool kSigned, Form D, Form A, Form B, Form C>
PENUMBRA_STENCIL divide(PENUMBRA_STENCIL_ARGUMENTS) {
  T low = get<T, A, 'a'>(s, a), divisor = get<T, B, 'b'>(s, b), high = get<T, C, 'c'>(s, c);
  put<T, D>(s, d, host_quotient<T, kSigned>(low, high, divisor));
  PENUMBRA_CONTINUE(to_next);
}

constexpr auto make() {
  Listing<StencilFunction, 200> list;
  each_width([&]<class T>(T) {
    each<kRegister, kSlot>([&]<Form A>() {
      each<kRegister, kSlot>([&]<Form B>() {
        each<kRegister, kSlot>([&]<Form C>() {
          StencilKey key{.op = code_of(Op::CheckDivide), .width = kWidthOf<T>, .a = A, .b = B};
          key.c = C;
          list.add(key, check<T, false, A, B, C>);
          key.scale = 1;
          list.add(key, check<T, true, A, B, C>);
          key.scale = 0;
          each<kRegister, kSlot>([&]<Form D>() {
            key.d = D;
            key.op = code_of(Op::DivideUnsigned);
            list.add(key, divide<T, false, D, A, B, C>);
            key.op = code_of(Op::DivideSigned);
            list.add(key, divide<T, true, D, A, B, C>);
          });
        });
      });
    });
  });
  return list;
}

PENUMBRA_LIST kDivisions = listed<make>();

}  // namespace
}  // namespace penumbra::jit
