// Stencils that read flags, and branches on them.
//
// Where the kind of the last flag operation is known, its condition is computed straight from its
// values. Where it is not (the first reader of a block), the usual kinds are tried in turn; others
// leave by Slow, which makes the flags explicit and comes back.
#include "jit/stencil/sources/operands.h"

namespace penumbra::jit {
namespace {

using cpu::FlagFamily;

constexpr FlagFamily family_of(FlagKind kind) {
  return static_cast<FlagFamily>(static_cast<u8>(kind) / 4);
}

/// The condition by the values of a kind.
template <FlagKind K, Condition C>
[[gnu::always_inline]] inline bool holds_of(const CpuState* s) {
  constexpr FlagFamily kFamily = family_of(K);
  constexpr unsigned kLog = static_cast<u8>(K) % 4;
  if constexpr (kFamily == FlagFamily::Explicit) {
    return cpu::holds(C, static_cast<u32>(s->flag_source));
  } else {
    using T = std::conditional_t<
        kLog == 0, u8, std::conditional_t<kLog == 1, u16, std::conditional_t<kLog == 2, u32, u64>>>;
    return cpu::condition_of<kFamily, T>(C, s->flag_result, s->flag_source);
  }
}

template <FlagKind K, Condition C, Form D>
PENUMBRA_STENCIL get_condition(PENUMBRA_STENCIL_ARGUMENTS) {
  put<u64, D>(s, d, holds_of<K, C>(s));
  PENUMBRA_CONTINUE(to_next);
}

template <FlagKind K, Condition C>
PENUMBRA_STENCIL branch(PENUMBRA_STENCIL_ARGUMENTS) {
  if (holds_of<K, C>(s)) PENUMBRA_CONTINUE(to_taken);
  PENUMBRA_CONTINUE(to_next);
}

template <FlagKind K, Form D>
PENUMBRA_STENCIL get_flags(PENUMBRA_STENCIL_ARGUMENTS) {
  constexpr FlagFamily kFamily = family_of(K);
  constexpr unsigned kLog = static_cast<u8>(K) % 4;
  using T = std::conditional_t<
      kLog == 0, u8, std::conditional_t<kLog == 1, u16, std::conditional_t<kLog == 2, u32, u64>>>;
  put<u64, D>(s, d, cpu::family_flags<kFamily, T>(s->flag_result, s->flag_source));
  PENUMBRA_CONTINUE(to_next);
}

// -- kinds known only at run time
// ------------------------------------------------------------------

template <Condition C>
PENUMBRA_STENCIL branch_any(PENUMBRA_STENCIL_ARGUMENTS) {
  bool taken;
  switch (s->flag_kind) {
    case FlagKind::Sub32:
      taken = holds_of<FlagKind::Sub32, C>(s);
      break;
    case FlagKind::Sub64:
      taken = holds_of<FlagKind::Sub64, C>(s);
      break;
    case FlagKind::Explicit:
      taken = holds_of<FlagKind::Explicit, C>(s);
      break;
    default:
      PENUMBRA_CONTINUE(to_slow);
  }
  if (taken) PENUMBRA_CONTINUE(to_taken);
  PENUMBRA_CONTINUE(to_next);
}

template <Condition C, Form D>
PENUMBRA_STENCIL get_condition_any(PENUMBRA_STENCIL_ARGUMENTS) {
  if (s->flag_kind != FlagKind::Explicit) PENUMBRA_CONTINUE(to_slow);
  put<u64, D>(s, d, holds_of<FlagKind::Explicit, C>(s));
  PENUMBRA_CONTINUE(to_next);
}

template <Form D>
PENUMBRA_STENCIL get_flags_any(PENUMBRA_STENCIL_ARGUMENTS) {
  if (s->flag_kind != FlagKind::Explicit) PENUMBRA_CONTINUE(to_slow);
  put<u64, D>(s, d, s->flag_source);
  PENUMBRA_CONTINUE(to_next);
}

template <Form A>
PENUMBRA_STENCIL set_flags(PENUMBRA_STENCIL_ARGUMENTS) {
  s->flag_source = get<u64, A, 'a'>(s, a) & cpu::Flag::kArithmetic;
  PENUMBRA_CONTINUE(to_next);
}

// -- fused compare and branch, and branches on a value
// ---------------------------------------------

template <FlagFamily F, class T, Condition C, Effect E, Form A, Form B>
PENUMBRA_STENCIL compare_branch(PENUMBRA_STENCIL_ARGUMENTS) {
  // A copy of its own, or the compiler passes on one operand for the other where they are equal.
  u64 first = a;
  asm("" : "+r"(first));
  T left_value = get<T, A, 'a'>(s, first), right = get<T, B, 'b'>(s, b);
  T result = static_cast<T>(F == FlagFamily::Sub ? left_value - right : left_value & right);
  if constexpr (E == Effect::Flags) {
    s->flag_result = result;
    if constexpr (F == FlagFamily::Sub) s->flag_source = right;
  }
  if (cpu::condition_of<F, T>(C, result, right)) PENUMBRA_CONTINUE(to_taken);
  PENUMBRA_CONTINUE(to_next);
}

template <Form A>
PENUMBRA_STENCIL branch_nonzero(PENUMBRA_STENCIL_ARGUMENTS) {
  if (get<u8, A, 'a'>(s, a) & 1) PENUMBRA_CONTINUE(to_taken);
  PENUMBRA_CONTINUE(to_next);
}

// -- the list
// --------------------------------------------------------------------------------------

using List = Listing<StencilFunction, 3000>;

template <class F>
constexpr void each_kind(F f) {
  [&]<unsigned... K>(std::integer_sequence<unsigned, K...>) {
    (f.template operator()<static_cast<FlagKind>(K)>(), ...);
  }(std::make_integer_sequence<unsigned, static_cast<unsigned>(FlagKind::Explicit) + 1>());
}

constexpr auto make_known() {
  List list;
  each_kind([&]<FlagKind K>() {
    each<kRegister, kSlot>([&]<Form D>() {
      list.add({.op = code_of(Op::GetFlags), .d = D, .kind = K}, get_flags<K, D>);
    });
    each_condition([&]<Condition C>() {
      list.add({.op = code_of(Op::BranchFlags), .condition = C, .kind = K}, branch<K, C>);
      each<kRegister, kSlot>([&]<Form D>() {
        list.add({.op = code_of(Op::GetCondition), .d = D, .condition = C, .kind = K},
                 get_condition<K, C, D>);
      });
    });
  });
  return list;
}

constexpr auto make_any() {
  List list;
  each_condition([&]<Condition C>() {
    list.add({.op = code_of(Op::BranchFlags), .condition = C}, branch_any<C>);
    each<kRegister, kSlot>([&]<Form D>() {
      list.add({.op = code_of(Op::GetCondition), .d = D, .condition = C}, get_condition_any<C, D>);
    });
  });
  each<kRegister, kSlot>([&]<Form D>() {
    list.add({.op = code_of(Op::GetFlags), .d = D}, get_flags_any<D>);
    list.add({.op = code_of(Op::BranchNonzero), .a = D}, branch_nonzero<D>);
  });
  each<kRegister, kSlot, kImmediate>(
      [&]<Form A>() { list.add({.op = code_of(Op::SetFlags), .a = A}, set_flags<A>); });
  return list;
}

template <FlagFamily F>
constexpr auto make_fused() {
  List list;
  constexpr Op kOp = F == FlagFamily::Sub ? Op::BranchSub : Op::BranchAnd;
  each_width([&]<class T>(T) {
    each_condition([&]<Condition C>() {
      each<kRegister, kSlot>([&]<Form A>() {
        each<kRegister, kSlot, kImmediate>([&]<Form B>() {
          each<Effect::Value, Effect::Flags>([&]<Effect E>() {
            list.add({.op = code_of(kOp),
                      .width = kWidthOf<T>,
                      .effect = E,
                      .a = A,
                      .b = B,
                      .condition = C},
                     compare_branch<F, T, C, E, A, B>);
          });
        });
      });
    });
  });
  return list;
}

PENUMBRA_LIST kKnown = listed<make_known>();
PENUMBRA_LIST kAny = listed<make_any>();
PENUMBRA_LIST kFusedSub = listed<make_fused<FlagFamily::Sub>>();
PENUMBRA_LIST kFusedAnd = listed<make_fused<FlagFamily::Logic>>();

}  // namespace
}  // namespace penumbra::jit
