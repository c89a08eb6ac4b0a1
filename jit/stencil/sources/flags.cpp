// Stencils that read flags, and branches on them.
//
// Where the kind to read is known, the condition is computed straight from its values. Where it is
// not (the first reader of a block), the usual kinds are tried in turn; others leave by Slow, which
// makes the flags explicit and comes back.
#include <tuple>

#include "jit/stencil/sources/operands.h"

namespace penumbra::jit {
namespace {

using cpu::FlagFamily;

/// The type of a kind's values.
template <FlagKind K>
using KindType = std::tuple_element_t<static_cast<u8>(K) % 4, std::tuple<u8, u16, u32, u64>>;

/// Where a kind has its first value: a partial one is the modifier.
template <FlagKind K>
[[gnu::always_inline]] inline u64 result_of(const CpuState* s) {
  return cpu::is_partial(K) ? s->flag_patch : s->flag_result;
}

/// The condition by the values of a kind.
template <FlagKind K, Condition C>
[[gnu::always_inline]] inline bool holds_of(const CpuState* s) {
  return cpu::condition_of<cpu::family_of(K), KindType<K>>(C, result_of<K>(s), s->flag_source);
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
  u32 flags = cpu::family_flags<cpu::family_of(K), KindType<K>>(result_of<K>(s), s->flag_source);
  put<u64, D>(s, d, flags);
  PENUMBRA_CONTINUE(to_next);
}

// -- kinds known only at run time
// ------------------------------------------------------------------

/// Kind and modifier as one number, which is that of the kind where there is no modifier.
[[gnu::always_inline]] inline u32 current_kind(const CpuState* s) {
  return load_from<u16>(reinterpret_cast<const u8*>(&s->flag_kind));
}

template <Condition C>
PENUMBRA_STENCIL branch_any(PENUMBRA_STENCIL_ARGUMENTS) {
  u32 kind = current_kind(s);
#define PENUMBRA_TRY(name)                                           \
  if (kind == static_cast<u32>(FlagKind::name)) {                    \
    if (holds_of<FlagKind::name, C>(s)) PENUMBRA_CONTINUE(to_taken); \
    PENUMBRA_CONTINUE(to_next);                                      \
  }
  PENUMBRA_TRY(Sub32)
  PENUMBRA_TRY(Sub64)
  PENUMBRA_TRY(Sub8)
  PENUMBRA_TRY(Explicit)
#undef PENUMBRA_TRY
  PENUMBRA_CONTINUE(to_slow);
}

template <Condition C, Form D>
PENUMBRA_STENCIL get_condition_any(PENUMBRA_STENCIL_ARGUMENTS) {
  if (current_kind(s) != static_cast<u32>(FlagKind::Explicit)) PENUMBRA_CONTINUE(to_slow);
  put<u64, D>(s, d, holds_of<FlagKind::Explicit, C>(s));
  PENUMBRA_CONTINUE(to_next);
}

template <Form D>
PENUMBRA_STENCIL get_flags_any(PENUMBRA_STENCIL_ARGUMENTS) {
  if (current_kind(s) != static_cast<u32>(FlagKind::Explicit)) PENUMBRA_CONTINUE(to_slow);
  put<u64, D>(s, d, s->flag_source);
  PENUMBRA_CONTINUE(to_next);
}

/// Slow where a definition of the kind's family may not take the modifier's place.
template <FlagKind K>
PENUMBRA_STENCIL keep_flags(PENUMBRA_STENCIL_ARGUMENTS) {
  if (!cpu::replaces(cpu::family_of(K), s->flag_modifier)) [[unlikely]]
    PENUMBRA_CONTINUE(to_slow);
  PENUMBRA_CONTINUE(to_next);
}

template <Form A>
PENUMBRA_STENCIL set_flags(PENUMBRA_STENCIL_ARGUMENTS) {
  s->flag_source = get<u64, A, 'a'>(s, a) & cpu::Flag::kArithmetic;
  PENUMBRA_CONTINUE(to_next);
}

// -- conditions of a comparison whose operands are still there
// ---------------------------------------------------------------------------------------------

/// C of a SUB or AND of the operands, whose flags are kept already.
template <FlagKind K, Condition C, Form A, Form B>
[[gnu::always_inline]] inline bool compares(CpuState* s, u64 a, u64 b) {
  using T = KindType<K>;
  constexpr FlagFamily kFamily = cpu::family_of(K);
  // A copy of its own, or the compiler passes on one operand for the other where they are equal.
  asm("" : "+r"(a));
  T left_value = get<T, A, 'a'>(s, a), right = get<T, B, 'b'>(s, b);
  T result = static_cast<T>(kFamily == FlagFamily::Sub ? left_value - right : left_value & right);
  return cpu::condition_of<kFamily, T>(C, result, right);
}

template <FlagKind K, Condition C, Form A, Form B>
PENUMBRA_STENCIL get_comparison(PENUMBRA_STENCIL_ARGUMENTS) {
  d = compares<K, C, A, B>(s, a, b);
  PENUMBRA_CONTINUE(to_next);
}
template <FlagKind K, Condition C, Form A, Form B>
PENUMBRA_STENCIL branch_comparison(PENUMBRA_STENCIL_ARGUMENTS) {
  if (compares<K, C, A, B>(s, a, b)) PENUMBRA_CONTINUE(to_taken);
  PENUMBRA_CONTINUE(to_next);
}
/// d = a and b compare ? c : d
template <FlagKind K, Condition C, class T, Form A, Form B, Form From>
PENUMBRA_STENCIL select_comparison(PENUMBRA_STENCIL_ARGUMENTS) {
  T chosen = get<T, From, 'c'>(s, c), other = static_cast<T>(d);
  asm("" : "+r"(chosen));
  d = compares<K, C, A, B>(s, a, b) ? chosen : other;
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

/// Every kind that the flag pass makes an op read.
template <class F>
constexpr void each_kind(F f) {
  [&]<unsigned... K>(std::integer_sequence<unsigned, K...>) {
    auto call = [&]<FlagKind kKind>() {
      constexpr FlagFamily kFamily = cpu::family_of(kKind);
      constexpr bool kExists = kFamily != FlagFamily::None &&
                               (cpu::has_width(kFamily) || static_cast<u8>(kKind) % 4 == 0);
      if constexpr (kExists) f.template operator()<kKind>();
    };
    (call.template operator()<static_cast<FlagKind>(K)>(), ...);
  }(std::make_integer_sequence<unsigned, static_cast<unsigned>(FlagKind::Last) + 1>());
}

/// Those that need no flag but what a definition of the family sets.
template <FlagFamily F>
constexpr void each_condition_of(auto f) {
  each_condition([&]<Condition C>() {
    if constexpr ((cpu::flags_of(C) & ~cpu::flags_of(F)) == 0) f.template operator()<C>();
  });
}

constexpr auto make_known() {
  List list;
  each_kind([&]<FlagKind K>() {
    if constexpr (cpu::is_partial(K)) {
      list.add({.op = code_of(Op::KeepFlags), .kind = K}, keep_flags<K>);
    } else {
      each<kRegister, kSlot>([&]<Form D>() {
        list.add({.op = code_of(Op::GetFlags), .d = D, .kind = K}, get_flags<K, D>);
      });
    }
    each_condition_of<cpu::family_of(K)>([&]<Condition C>() {
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

/// The operands' forms.
template <class F>
constexpr void each_comparison(F f) {
  f.template operator()<kRegister, kRegister>();
  f.template operator()<kRegister, kSlot>();
  f.template operator()<kRegister, kImmediate>();
  f.template operator()<kSlot, kRegister>();
  f.template operator()<kSlot, kSlot>();
  f.template operator()<kSlot, kImmediate>();
}

/// Conditions that compilers ask for behind CMP (Sub) and TEST.
template <FlagFamily F>
constexpr void each_usual(auto f) {
  using enum Condition;
  each<Z, Nz, S, Ns, Le, Nle>(f);
  if constexpr (F == FlagFamily::Sub) each<B, Nb, Be, Nbe, L, Nl>(f);
}

template <FlagFamily F>
constexpr auto make_comparisons() {
  List list;
  each_width([&]<class T>(T) {
    constexpr FlagKind K = cpu::flag_kind(F, kWidthOf<T>);
    each_usual<F>([&]<Condition C>() {
      each_comparison([&]<Form A, Form B>() {
        StencilKey key{.width = kWidthOf<T>, .a = A, .b = B, .condition = C, .kind = K};
        key.op = code_of(Op::BranchFlags);
        list.add(key, branch_comparison<K, C, A, B>);
        key.op = code_of(Op::GetCondition);
        key.d = kRegister;
        list.add(key, get_comparison<K, C, A, B>);
      });
    });
  });
  return list;
}

constexpr auto make_selections() {
  List list;
  auto add = [&]<FlagKind K, class T>(T) {
    each_usual<FlagFamily::Sub>([&]<Condition C>() {
      each_comparison([&]<Form A, Form B>() {
        each<kRegister, kSlot>([&]<Form From>() {
          StencilKey key{
              .op = code_of(Op::Select), .width = kWidthOf<T>, .a = A, .b = B, .c = From};
          key.d = kRegister, key.condition = C, key.kind = K, key.tied = true;
          list.add(key, select_comparison<K, C, T, A, B, From>);
        });
      });
    });
  };
  add.template operator()<FlagKind::Sub32>(u32{});
  add.template operator()<FlagKind::Sub32>(u64{});
  add.template operator()<FlagKind::Sub64>(u32{});
  add.template operator()<FlagKind::Sub64>(u64{});
  return list;
}

PENUMBRA_LIST kSubComparisons = listed<make_comparisons<FlagFamily::Sub>>();
PENUMBRA_LIST kAndComparisons = listed<make_comparisons<FlagFamily::Logic>>();
PENUMBRA_LIST kSelections = listed<make_selections>();
PENUMBRA_LIST kKnown = listed<make_known>();
PENUMBRA_LIST kAny = listed<make_any>();
PENUMBRA_LIST kFusedSub = listed<make_fused<FlagFamily::Sub>>();
PENUMBRA_LIST kFusedAnd = listed<make_fused<FlagFamily::Logic>>();

}  // namespace
}  // namespace penumbra::jit
