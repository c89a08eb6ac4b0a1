// Stencils of moves, choices, extensions and addresses.
#include "jit/stencil/sources/operands.h"

namespace penumbra::jit {
namespace {

template <class T, Form D, Form A>
PENUMBRA_STENCIL move(PENUMBRA_STENCIL_ARGUMENTS) {
  if constexpr (D == kSlot && A == kImmediate && sizeof(T) != 4) {
    auto& to = *reinterpret_cast<u8(*)[sizeof(T)]>(slot_of<'d'>(s));
    if constexpr (sizeof(T) == 1) asm("movb %1, %0" : "=m"(to) : "i"(hole_immediate));
    if constexpr (sizeof(T) == 2) asm("movw %1, %0" : "=m"(to) : "i"(hole_immediate));
    if constexpr (sizeof(T) == 8) asm("movq %1, %0" : "=m"(to) : "i"(hole_immediate));
  } else if constexpr (D == kRegister && A == kRegister && sizeof(T) == 1) {
    asm("movb %b1, %b0" : "+r"(d) : "r"(a));
  } else {
    put<T, D>(s, d, get<T, A, 'a'>(s, a));
  }
  PENUMBRA_CONTINUE(to_next);
}
/// Into a slot by its whole word, so that who reads all of that does not wait for two stores.
template <class T, Form A>
PENUMBRA_STENCIL move_into_word(PENUMBRA_STENCIL_ARGUMENTS) {
  u64 word = get<u64, kSlot, 'd'>(s, d);
  put_register<T>(word, get<T, A, 'a'>(s, a));
  put<u64, kSlot>(s, d, word);
  PENUMBRA_CONTINUE(to_next);
}
template <Form D>
PENUMBRA_STENCIL move_wide(PENUMBRA_STENCIL_ARGUMENTS) {
  put<u64, D>(s, d, opaque<Width::W64>(hole_immediate));
  PENUMBRA_CONTINUE(to_next);
}
template <class From, class To, Form D, Form A>
PENUMBRA_STENCIL extend(PENUMBRA_STENCIL_ARGUMENTS) {
  put<To, D>(s, d, static_cast<To>(get<From, A, 'a'>(s, a)));
  PENUMBRA_CONTINUE(to_next);
}
template <class From, class To, Form D, Form A>
PENUMBRA_STENCIL extend_signed(PENUMBRA_STENCIL_ARGUMENTS) {
  auto value = static_cast<std::make_signed_t<From>>(get<From, A, 'a'>(s, a));
  put<To, D>(s, d, static_cast<To>(static_cast<std::make_signed_t<To>>(value)));
  PENUMBRA_CONTINUE(to_next);
}
template <class T, Form D, Form A, Form B, unsigned kScale, bool kDisplaced>
PENUMBRA_STENCIL lea(PENUMBRA_STENCIL_ARGUMENTS) {
  u64 sum = address<A, B, kScale, kDisplaced>(s, a, b);
  put<T, D>(s, d, static_cast<T>(sum));
  PENUMBRA_CONTINUE(to_next);
}

/// d = c ? a : d
template <class T, Form D, Form A, Form C>
PENUMBRA_STENCIL select_tied(PENUMBRA_STENCIL_ARGUMENTS) {
  T chosen = get<T, A, 'a'>(s, a), other = get<T, D, 'd'>(s, d);
  asm("" : "+r"(chosen), "+r"(other));  // values are selected, not addresses
  u64 condition = get<u64, C, 'c'>(s, c);
  put<T, D>(s, d, cpu::Select::eval<T>(chosen, other, condition).value);
  PENUMBRA_CONTINUE(to_next);
}

// -- the list
// --------------------------------------------------------------------------------------

using List = Listing<StencilFunction, 1000>;

constexpr auto make_moves() {
  List list;
  each_width([&]<class T>(T) {
    each<kRegister, kSlot>([&]<Form D>() {
      each<kRegister, kSlot, kImmediate>([&]<Form A>() {
        list.add({.op = code_of(Op::Move), .width = kWidthOf<T>, .d = D, .a = A}, move<T, D, A>);
      });
    });
    each<kRegister, kSlot>([&]<Form A>() {
      each<kRegister, kSlot>([&]<Form C>() {
        StencilKey key{.op = code_of(Op::Select), .width = kWidthOf<T>, .a = A, .c = C};
        key.tied = true;
        key.d = kRegister;
        list.add(key, select_tied<T, kRegister, A, C>);
        key.d = kSlot;
        list.add(key, select_tied<T, kSlot, A, C>);
      });
    });
    if constexpr (sizeof(T) < 4) {
      each<kRegister, kSlot, kImmediate>([&]<Form A>() {
        StencilKey key{.op = code_of(Op::Move), .width = kWidthOf<T>, .from = Width::W64};
        key.d = kSlot, key.a = A;
        list.add(key, move_into_word<T, A>);
      });
    }
  });
  each<kRegister, kSlot>([&]<Form D>() {
    list.add({.op = code_of(Op::Move), .width = Width::W64, .d = D, .a = kImmediate, .wide = true},
             move_wide<D>);
  });
  return list;
}

constexpr auto make_extensions() {
  List list;
  each_width([&]<class From>(From) {
    each_width([&]<class To>(To) {
      each<kRegister, kSlot>([&]<Form D>() {
        each<kRegister, kSlot>([&]<Form A>() {
          StencilKey key{.width = kWidthOf<To>, .from = kWidthOf<From>, .d = D, .a = A};
          key.op = code_of(Op::ZeroExtend);
          list.add(key, extend<From, To, D, A>);
          key.op = code_of(Op::SignExtend);
          list.add(key, extend_signed<From, To, D, A>);
        });
      });
    });
  });
  return list;
}

constexpr auto make_addresses() {
  List list;
  auto add = [&]<class T>(T) {
    each<kRegister, kSlot>([&]<Form D>() {
      each<kNone, kRegister, kSlot>([&]<Form A>() {
        StencilKey key{.op = code_of(Op::Lea), .width = kWidthOf<T>, .d = D, .a = A};
        list.add(key, lea<T, D, A, kNone, 0, true>);
        each<kRegister, kSlot>([&]<Form B>() {
          key.b = B;
          each<0u, 1u, 2u, 3u>([&]<unsigned kScale>() {
            key.scale = kScale;
            key.wide = false;
            list.add(key, lea<T, D, A, B, kScale, true>);
            key.wide = true;
            list.add(key, lea<T, D, A, B, kScale, false>);
          });
        });
      });
    });
  };
  add(u16{});
  add(u32{});
  add(u64{});
  return list;
}

PENUMBRA_LIST kMoves = listed<make_moves>();
PENUMBRA_LIST kExtensions = listed<make_extensions>();
PENUMBRA_LIST kAddresses = listed<make_addresses>();

}  // namespace
}  // namespace penumbra::jit
